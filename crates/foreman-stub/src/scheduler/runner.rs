//! One loaded model.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Semaphore, time::Instant};

use super::options::Effective;
use crate::{
    clock::{FOREVER, later},
    model::Model,
    record::EvictionReason,
};

/// How long an idle runner stays. Ordered by length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Keep {
    /// This long; zero means that it leaves at once.
    For(Duration),
    /// Until it is evicted.
    Forever,
}

impl Keep {
    /// Leave as soon as idle.
    pub(crate) const NOTHING: Self = Self::For(Duration::ZERO);

    /// The moment at which a runner idle since `now` leaves.
    pub(super) fn expiry(self, now: Timestamp) -> Timestamp {
        let length = match self {
            Self::For(length) => SignedDuration::try_from(length)
                .unwrap_or(FOREVER)
                .min(FOREVER),
            Self::Forever => FOREVER,
        };
        later(now, length)
    }
}

/// A loaded model, or one that is being loaded.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) id: u64,
    pub(super) model: Arc<Model>,
    pub(super) options: Effective,
    pub(super) keep: Keep,
    /// Leases; the runner is idle at zero.
    pub(super) leases: usize,
    /// False during the load.
    pub(super) loaded: bool,
    /// What ps shows, from the last idle moment.
    pub(super) expires: Option<Timestamp>,
    /// When it leaves if it stays idle; none while busy or pinned.
    pub(super) deadline: Option<Instant>,
    pub(super) slots: Arc<Semaphore>,
    /// True once it died: it is listed still, until it is asked for again or its time is over.
    pub(super) dead: bool,
    /// Why it leaves as soon as it is idle.
    pub(super) leaving: Option<EvictionReason>,
}

impl Runner {
    /// The order in which runners are chosen to make room: shortest keep-alive first.
    pub(super) fn eviction_order(&self, other: &Self) -> Ordering {
        self.keep
            .cmp(&other.keep)
            .then_with(|| self.model.spec.blob.cmp(&other.model.spec.blob))
    }
}

/// A loaded model as ps shows it.
#[derive(Clone, Debug)]
pub(crate) struct Resident {
    /// The model under the name it was loaded with.
    pub(crate) model: Arc<Model>,
    /// When it leaves.
    pub(crate) expires: Timestamp,
    /// Its context length.
    pub(crate) context: i64,
}
