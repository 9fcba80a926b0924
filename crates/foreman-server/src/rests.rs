//! Connections on which nothing is asked: when there is no place left, the one that rests longest
//! makes room.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

use crate::reserve::Place;

/// All connections, by the order in which they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rests(Arc<All>);

#[derive(Debug, Default)]
struct All {
    /// Grows with each beginning of a rest.
    turn: AtomicU64,
    connections: Mutex<BTreeMap<u64, Arc<Rest>>>,
}

/// Whether one connection rests: no request is being answered on it, though one may have begun to
/// come.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    all: Arc<All>,
    /// The turn at which its rest began; 0 while it does not rest.
    since: AtomicU64,
    /// Rung when it is asked to leave, or must.
    leave: Notify,
    /// Whether it must, whatever is said on it.
    cut: AtomicBool,
    /// Who gets its place.
    heir: Mutex<Option<Heir>>,
}

/// Takes the place of a connection that has ended.
struct Heir(Box<dyn FnOnce(Place) + Send>);

/// Keeps a connection among those that may be asked to leave.
#[derive(Debug)]
pub(crate) struct Listed {
    all: Arc<All>,
    number: u64,
}

impl Rests {
    /// Adds a connection, which rests until its first request is there.
    pub(crate) fn add(&self) -> (Arc<Rest>, Listed) {
        let all = Arc::clone(&self.0);
        let rest = Arc::new(Rest {
            all: Arc::clone(&all),
            ..Rest::default()
        });
        rest.begin();
        let number = rest.since.load(Ordering::Acquire);
        all.lock().insert(number, Arc::clone(&rest));
        (rest, Listed { all, number })
    }

    /// Asks the connection that rests longest to leave, and to hand over its place; none when none
    /// rests.
    pub(crate) fn make_room(&self) -> Option<oneshot::Receiver<Place>> {
        let connections = self.0.lock();
        let resting = connections.values().filter_map(|rest| {
            let since = rest.since.load(Ordering::Acquire);
            (since > 0).then_some((since, rest))
        });
        let (_, longest) = resting.min_by_key(|(since, _)| *since)?;
        // It is asked once; the next one is another.
        longest.since.store(0, Ordering::Release);
        let (heir, place) = oneshot::channel();
        // One that waits no more leaves it free.
        let heir = Heir(Box::new(move |place| drop(heir.send(place))));
        *lock(&longest.heir) = Some(heir);
        longest.leave.notify_one();
        Some(place)
    }
}

impl All {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Rest>>> {
        lock(&self.connections)
    }
}

impl Rest {
    /// Nothing is asked from now on.
    pub(crate) fn begin(&self) {
        let turn = self.all.turn.fetch_add(1, Ordering::AcqRel);
        self.since.store(turn.saturating_add(1), Ordering::Release);
    }

    /// A request is there.
    pub(crate) fn end(&self) {
        self.since.store(0, Ordering::Release);
    }

    /// Waits until the connection is asked to leave. It need not, when a request has come meanwhile,
    /// unless it [is cut off](Self::is_cut_off).
    pub(crate) fn asked_to_leave(&self) -> Notified<'_> {
        self.leave.notified()
    }

    /// Closes the connection, whatever is said on it.
    pub(crate) fn cut_off(&self) {
        self.cut.store(true, Ordering::Release);
        self.leave.notify_one();
    }

    /// Tells whether the connection must be closed.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Gives the place of a connection that has ended to the one that waits for it, if any.
    pub(crate) fn hand_over(&self, place: Place) {
        let heir = lock(&self.heir).take();
        if let Some(Heir(take)) = heir {
            take(place);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Heir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heir")
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.all.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_asked(rest: &Rest) -> bool {
        rest.asked_to_leave().now_or_never().is_some()
    }

    #[test]
    fn the_one_that_rests_longest_is_asked_once_and_none_that_is_busy() {
        let rests = Rests::default();
        let (busy, _first) = rests.add();
        let (again, _second) = rests.add();
        let (silent, _third) = rests.add();
        busy.end();
        again.end();
        again.begin();

        assert!(rests.make_room().is_some());
        assert!(is_asked(&silent));
        assert!(!is_asked(&again));
        assert!(rests.make_room().is_some());
        assert!(is_asked(&again));
        assert!(rests.make_room().is_none());
        assert!(!is_asked(&busy));
    }

    #[test]
    fn one_that_has_left_is_not_asked() {
        let rests = Rests::default();
        let (_rest, listed) = rests.add();

        drop(listed);

        assert!(rests.make_room().is_none());
    }
}
