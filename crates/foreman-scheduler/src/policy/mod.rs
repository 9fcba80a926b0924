//! What runs next: a pure function of the queue's heads, residency, recent use and the clock.
//!
//! Only the best priority class that has a ready job counts. Within it
//!
//! 1. a job past the age bound ends a drain of another runner: of the callers whose oldest job has
//!    waited that long, the one that has used the target least. While the jobs of the drain are as
//!    old themselves, the drain has its share of time first, or every job would cost a swap;
//! 2. else a drain goes on: a job whose runner is resident, the runner of the last job first;
//! 3. else the runner of the oldest job begins one.
//!
//! Within a drain callers take turns by recent use, and each caller's jobs go in their order. But
//! the oldest job of all, once past the bound, is not passed over for longer than half of it:
//! neither by a drain nor by the turns of others. So no job waits for those that come after it.

mod recent_use;
mod turns;

use std::time::Duration;

use foreman_job::{Choice, HeadJob, PickReason, QueueHeads, Timestamp};

pub use recent_use::RecentUse;
pub use turns::OldestTurns;

/// The bounds of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A job that has waited this long ends a drain of another runner; none drains strictly.
    pub max_wait: Option<Duration>,
    /// How long a drain of jobs that have waited as long goes on nevertheless.
    pub share: Duration,
    /// How long the oldest job may be passed over once it has waited as long.
    pub patience: Duration,
}

/// What the policy knows besides the queue.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The clock that jobs are stamped with.
    pub now: Timestamp,
    /// A monotonic clock: that of `recent_use`.
    pub elapsed: Duration,
    /// How long the present drain has gone on.
    pub drained_for: Duration,
    /// What each caller has used.
    pub recent_use: &'a RecentUse,
    /// When the oldest jobs past the age bound were taken.
    pub turns: &'a OldestTurns,
}

impl Bounds {
    /// Takes the age bound; zero drains strictly.
    pub fn new(max_wait: Duration) -> Self {
        Self {
            max_wait: (!max_wait.is_zero()).then_some(max_wait),
            share: max_wait / 4,
            patience: max_wait / 2,
        }
    }

    /// Returns the time of acceptance from which on jobs are younger than the bound.
    pub fn aged_before(&self, now: Timestamp) -> Option<Timestamp> {
        self.max_wait.map(|bound| now.saturating_sub(bound))
    }

    /// Tells whether a job has waited to the bound.
    pub fn is_aged(&self, head: &HeadJob, now: Timestamp) -> bool {
        self.aged_before(now)
            .is_some_and(|before| head.created_at <= before)
    }
}

/// Chooses the next job.
///
/// `heads.resident` is in the order in which the resident runners are preferred.
pub fn choose(heads: &QueueHeads, bounds: &Bounds, moment: &Moment<'_>) -> Choice {
    let (mut job, mut reason) = pick(heads, bounds, moment);
    if job.seq != heads.oldest.seq && is_overdue(&heads.oldest, bounds, moment) {
        (job, reason) = (&heads.oldest, PickReason::Aged);
    }
    let overtakes = heads.overtaken.is_some_and(|older| older < job.seq);
    Choice {
        seq: job.seq,
        reason: if overtakes {
            PickReason::Priority
        } else {
            reason
        },
    }
}

/// Returns the head that a choice names.
pub fn chosen<'a>(heads: &'a QueueHeads, choice: &Choice) -> Option<&'a HeadJob> {
    heads
        .callers
        .iter()
        .chain(&heads.aged)
        .chain(&heads.resident)
        .chain([&heads.oldest])
        .find(|head| head.seq == choice.seq)
}

/// Tells whether the oldest job is past the bound and was passed over for long enough.
fn is_overdue(oldest: &HeadJob, bounds: &Bounds, moment: &Moment<'_>) -> bool {
    let passed_over = moment.turns.passed_over(oldest.priority, moment.elapsed);
    bounds.is_aged(oldest, moment.now) && passed_over.is_none_or(|it| it >= bounds.patience)
}

fn pick<'a>(
    heads: &'a QueueHeads,
    bounds: &Bounds,
    moment: &Moment<'_>,
) -> (&'a HeadJob, PickReason) {
    let drain = heads.resident.first();
    if let Some(aged) = least_used(&heads.aged, moment)
        && drain.is_none_or(|drain| ends(drain, aged, bounds, moment))
    {
        return (aged, PickReason::Aged);
    }
    let first = drain.unwrap_or(&heads.oldest);
    let next = least_used(&heads.callers, moment).unwrap_or(first);
    let reason = if next.seq != first.seq {
        PickReason::Fair
    } else if drain.is_some() {
        PickReason::Resident
    } else {
        PickReason::Oldest
    };
    (next, reason)
}

/// Tells whether a job past the age bound ends a drain.
fn ends(drain: &HeadJob, aged: &HeadJob, bounds: &Bounds, moment: &Moment<'_>) -> bool {
    if drain.runner == aged.runner {
        return false;
    }
    !bounds.is_aged(drain, moment.now) || moment.drained_for >= bounds.share
}

fn least_used<'a>(heads: &'a [HeadJob], moment: &Moment<'_>) -> Option<&'a HeadJob> {
    let used = |head: &HeadJob| moment.recent_use.of(head.caller.as_deref(), moment.elapsed);
    heads.iter().min_by(|left, right| {
        used(left)
            .total_cmp(&used(right))
            .then(left.seq.cmp(&right.seq))
    })
}

#[cfg(test)]
mod tests;
