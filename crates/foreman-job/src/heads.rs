//! What the scheduling policy sees of the queue, and what it answers.

use std::fmt;
use std::time::Duration;

use crate::{Priority, RunnerKey, Timestamp};

/// A wish to claim may have been made so long before the jobs that it finds were accepted.
const WISHED_BEFORE: Duration = Duration::from_mins(1);

/// A job at the head of one of the queue's orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadJob {
    /// The job's place in the queue: ascending in the order of acceptance, never used twice.
    pub seq: i64,
    /// Its class.
    pub priority: Priority,
    /// The runner it needs.
    pub runner: RunnerKey,
    /// Who asked for it; none when callers are anonymous.
    pub caller: Option<String>,
    /// When it was accepted; the beginning of time where that is said to lie far ahead.
    pub created_at: Timestamp,
}

/// The heads of the ready queue, all of the best class that has a ready job.
///
/// A few index probes fill it, whatever the length of the queue. Jobs of paused runners are in none
/// of them.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueHeads {
    /// The oldest ready job of the best class.
    pub oldest: HeadJob,
    /// The oldest ready job of that class for each resident runner that has one.
    pub resident: Vec<HeadJob>,
    /// For the runner that goes on, that of the first of `resident` or else of `oldest`: the oldest
    /// ready jobs of the callers that have used least. Several only where they have used as much.
    pub callers: Vec<HeadJob>,
    /// Of the callers whose oldest ready job, whatever its runner, has waited to the age bound:
    /// those jobs of the ones that have used least. Empty when `oldest` has not waited as long.
    pub aged: Vec<HeadJob>,
    /// What that caller of the class has used who has used most.
    pub most_used: f64,
    /// The place of the oldest ready job of the lower classes.
    pub overtaken: Option<i64>,
}

/// Why a job was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PickReason {
    /// Its class goes before that of an older job.
    Priority,
    /// It had waited longer than the age bound.
    Aged,
    /// Its runner is resident.
    Resident,
    /// Its caller has used the target less than those of older jobs for the same runner.
    Fair,
    /// No job of the class has a resident runner; it is the oldest.
    Oldest,
}

/// The job to claim next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The chosen job's place in the queue.
    pub seq: i64,
    /// Why it was chosen.
    pub reason: PickReason,
}

impl HeadJob {
    /// Returns when a job was accepted, as the policy may take it at the time of a wish to claim.
    ///
    /// A wish may wait for a job to come: what was accepted within a minute after it has not waited
    /// at all. A time that lies further ahead is of an earlier life whose clock was wrong. Nobody
    /// knows how long such a job has waited, but longer than any of this life: it is past every age
    /// bound.
    pub fn accepted(created_at: Timestamp, now: Timestamp) -> Timestamp {
        if created_at > now.saturating_add(WISHED_BEFORE) {
            Timestamp::from_millis(i64::MIN)
        } else {
            created_at.min(now)
        }
    }
}

impl PickReason {
    /// Returns the word used in the API and the logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Aged => "aged",
            Self::Resident => "resident",
            Self::Fair => "fair",
            Self::Oldest => "oldest",
        }
    }
}

impl fmt::Display for PickReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_a_wish_has_not_waited_and_what_lies_far_ahead_has_waited_longest() {
        let accepted = |millis| {
            let at = HeadJob::accepted(Timestamp::from_millis(millis), Timestamp::from_millis(100));
            at.as_millis()
        };

        assert_eq!(accepted(99), 99);
        assert_eq!(accepted(100), 100);
        assert_eq!(accepted(60_100), 100);
        assert_eq!(accepted(60_101), i64::MIN);
    }
}
