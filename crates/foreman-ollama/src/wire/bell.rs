//! Who is told when something happens on a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Wakes the task that waits for something on a connection, unless it is looking just now.
///
/// A request and its connection wake each other at each of their steps. One task looks at both:
/// without this it would be woken by what it does itself, and look at everything again for nothing.
#[derive(Debug)]
pub(super) struct Bell {
    rung: Arc<Rung>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Rung {
    /// Something has happened since the last look began.
    rang: AtomicBool,
    looking: AtomicBool,
    task: AtomicWaker,
}

impl Default for Bell {
    fn default() -> Self {
        let rung = Arc::<Rung>::default();
        let waker = Waker::from(Arc::clone(&rung));
        Self { rung, waker }
    }
}

impl Bell {
    /// Looks whether something is there; if not, the task is woken by whatever happens next.
    pub(super) fn look<T>(
        &self,
        cx: &Context<'_>,
        look: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Rung {
            rang,
            looking,
            task,
        } = &*self.rung;
        task.register(cx.waker());
        // In one order for all threads: either a ring sees that nobody looks any more and wakes the
        // task, or it is seen below.
        looking.store(true, Ordering::SeqCst);
        rang.store(false, Ordering::SeqCst);
        let seen = look(&mut Context::from_waker(&self.waker));
        looking.store(false, Ordering::SeqCst);
        // Who got something comes again before it waits.
        if seen.is_pending() && rang.load(Ordering::SeqCst) {
            cx.waker().wake_by_ref();
        }
        seen
    }
}

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::SeqCst);
        if !self.looking.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Looks once, and says how often the task was woken by it.
    fn woken(bell: &Bell, look: impl FnOnce(&Waker) -> Poll<()>) -> (u32, Arc<Counter>) {
        let counter = Arc::<Counter>::default();
        let waker = Waker::from(Arc::clone(&counter));
        let cx = Context::from_waker(&waker);
        let _seen = bell.look(&cx, |cx| look(cx.waker()));
        (counter.0.load(Ordering::SeqCst), counter)
    }

    #[test]
    fn who_finds_something_is_not_woken_by_finding_it() {
        let bell = Bell::default();

        let (times, _) = woken(&bell, |waker| {
            waker.wake_by_ref();
            Poll::Ready(())
        });

        assert_eq!(times, 0);
    }

    #[test]
    fn who_finds_nothing_is_woken_by_what_happened_meanwhile_and_by_what_happens_next() {
        let bell = Bell::default();

        let (times, _) = woken(&bell, |waker| {
            waker.wake_by_ref();
            Poll::Pending
        });
        let (before, counter) = woken(&bell, |_| Poll::Pending);
        bell.waker.wake_by_ref();

        assert_eq!((times, before), (1, 0));
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn the_one_that_looked_last_is_woken() {
        let bell = Bell::default();
        let (_, first) = woken(&bell, |_| Poll::Pending);
        let (_, second) = woken(&bell, |_| Poll::Pending);

        bell.waker.wake_by_ref();

        let times = [first, second].map(|counter| counter.0.load(Ordering::SeqCst));
        assert_eq!(times, [0, 1]);
    }
}
