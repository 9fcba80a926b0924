//! A future that stands beside one that is looked at all the time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Looks at a future when it was woken, and not each time that the task is.
#[derive(Debug)]
pub(crate) struct WhenWoken<F> {
    future: F,
    woken: Arc<Woken>,
    waker: Waker,
}

#[derive(Debug)]
struct Woken {
    is_due: AtomicBool,
    task: AtomicWaker,
}

impl<F> WhenWoken<F> {
    pub(crate) fn new(future: F) -> Self {
        let woken = Arc::new(Woken {
            // Nobody wakes it before it was looked at once.
            is_due: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        Self {
            future,
            waker: Waker::from(Arc::clone(&woken)),
            woken,
        }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_due.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future + Unpin> Future for WhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self {
            future,
            woken,
            waker,
        } = &mut *self;
        // First: who wakes it between the two is not missed.
        woken.task.register(cx.waker());
        if !woken.is_due.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        Pin::new(future).poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn it_is_looked_at_once_for_each_time_that_it_is_woken() {
        let mut looks = 0;
        let mut future = WhenWoken::new(poll_fn(|_| {
            looks += 1;
            if looks < 2 {
                Poll::Pending
            } else {
                Poll::Ready(looks)
            }
        }));
        let mut cx = Context::from_waker(Waker::noop());

        assert!((0..10).all(|_| Pin::new(&mut future).poll(&mut cx).is_pending()));
        future.waker.wake_by_ref();

        assert_eq!(Pin::new(&mut future).poll(&mut cx), Poll::Ready(2));
    }

    #[tokio::test]
    async fn it_wakes_the_task_that_waits_for_it() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let waiting = WhenWoken::new(told);

        let ((), heard) = tokio::join!(
            async {
                tokio::task::yield_now().await;
                tell.send(7).unwrap();
            },
            waiting
        );

        assert_eq!(heard, Ok(7));
    }
}
