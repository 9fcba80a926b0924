//! Answers on their way to callers: those that are not read may not fill the memory.

use std::collections::BTreeMap;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foreman_scheduler::OutputSize;

use crate::Metrics;
use crate::rests::Rest;

/// All answers that are given now, and what they may hold together.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries(Arc<All>);

#[derive(Debug)]
struct All {
    budget: u64,
    metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Grows with everything that is taken by anybody.
    turn: u64,
    /// By number.
    open: BTreeMap<u64, Open>,
}

/// One answer.
#[derive(Debug)]
struct Open {
    held: Held,
    connection: Arc<Rest>,
    /// The turn at which its reader took something last.
    taken: u64,
}

/// What an answer holds in memory.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    /// The output of a job, all of it as long as it is read.
    Output(OutputSize),
    /// So many bytes that were read from the store, or put together.
    Bytes(u64),
}

/// An answer that is given; over when this is dropped.
#[derive(Debug)]
pub(crate) struct Delivery {
    all: Arc<All>,
    number: u64,
}

impl Deliveries {
    pub(crate) fn new(budget: u64, metrics: Metrics) -> Self {
        Self(Arc::new(All {
            budget,
            metrics,
            state: Mutex::default(),
        }))
    }

    /// Begins to give an answer. Where that is too much for the memory, the connections of those
    /// are closed who have taken nothing for longest.
    pub(crate) fn begin(&self, held: Held, connection: Arc<Rest>) -> Delivery {
        let mut state = self.0.lock();
        let number = state.next();
        let taken = number;
        let open = Open {
            held,
            connection,
            taken,
        };
        state.open.insert(number, open);
        let cut = state.cut_off(self.0.budget, number);
        drop(state);
        if cut > 0 {
            tracing::warn!(
                readers = cut,
                "answers that are not read take too much memory: the slowest readers are cut off"
            );
            self.0.metrics.cut_off(cut);
        }
        Delivery {
            all: Arc::clone(&self.0),
            number,
        }
    }
}

impl All {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.turn = self.turn.saturating_add(1);
        self.turn
    }

    /// Closes connections until the rest fits, that of the newest answer excepted.
    fn cut_off(&mut self, budget: u64, newest: u64) -> u64 {
        let mut held: u64 = self.open.values().map(Open::bytes).sum();
        let mut cut = 0;
        while held > budget {
            let Some(slowest) = self.slowest_but(newest) else {
                break;
            };
            if let Some(open) = self.open.remove(&slowest) {
                held = held.saturating_sub(open.bytes());
                open.connection.cut_off();
                cut += 1;
            }
        }
        cut
    }

    /// Names the one of which nothing was taken for longest; who holds nothing would leave in vain.
    fn slowest_but(&self, newest: u64) -> Option<u64> {
        let others = self.open.iter().filter(|(number, _)| **number != newest);
        others
            .filter(|(_, open)| open.bytes() > 0)
            .min_by_key(|(_, open)| open.taken)
            .map(|(number, _)| *number)
    }
}

impl Open {
    fn bytes(&self) -> u64 {
        match &self.held {
            Held::Output(size) => size.bytes(),
            Held::Bytes(bytes) => *bytes,
        }
    }
}

impl Delivery {
    /// Notes that something was taken, and what is left where that is known.
    pub(crate) fn took(&self, left: Option<u64>) {
        let mut state = self.all.lock();
        let turn = state.next();
        if let Some(open) = state.open.get_mut(&self.number) {
            open.taken = turn;
            if let (Held::Bytes(bytes), Some(left)) = (&mut open.held, left) {
                *bytes = left;
            }
        }
        drop(state);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.all.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_cut(connection: &Rest) -> bool {
        connection.is_cut_off() && connection.asked_to_leave().now_or_never().is_some()
    }

    fn connections<const N: usize>() -> [Arc<Rest>; N] {
        std::array::from_fn(|_| Arc::default())
    }

    #[test]
    fn who_has_taken_nothing_for_longest_is_cut_off_until_the_rest_fits() {
        let deliveries = Deliveries::new(100, Metrics::default());
        let [first, second, third, newest] = connections();
        let begin = |bytes, connection: &Arc<Rest>| {
            deliveries.begin(Held::Bytes(bytes), Arc::clone(connection))
        };
        let a = begin(40, &first);
        let _b = begin(40, &second);
        a.took(Some(30));
        let _c = begin(30, &third);
        assert!(![&first, &second, &third].into_iter().any(|it| is_cut(it)));

        let _d = begin(60, &newest);

        assert!(is_cut(&second));
        assert!(is_cut(&first));
        assert!(!is_cut(&third));
        assert!(!is_cut(&newest));
    }

    #[test]
    fn an_answer_that_was_given_holds_nothing_and_one_alone_is_given_however_large() {
        let deliveries = Deliveries::new(100, Metrics::default());
        let [first, second] = connections();

        drop(deliveries.begin(Held::Bytes(90), Arc::clone(&first)));
        let _large = deliveries.begin(Held::Bytes(900), Arc::clone(&second));

        assert!(!is_cut(&first));
        assert!(!is_cut(&second));
    }
}
