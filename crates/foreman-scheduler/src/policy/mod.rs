//! What runs next: a pure function of the queue's heads, residency and the clock.
//!
//! Within the best priority class that has a ready job: a job past the age bound, the oldest
//! first; then a job whose runner is resident, the runner of the last job first; then the oldest.

use std::time::Duration;

use foreman_job::{Choice, PickReason, QueueHeads, Timestamp};

/// Chooses the next job.
///
/// `heads.resident` is in the order in which the resident runners are preferred. A `max_wait` of
/// zero drains strictly: only an empty drain ends it.
pub(crate) fn choose(heads: &QueueHeads, now: Timestamp, max_wait: Duration) -> Choice {
    let oldest = &heads.oldest;
    if !max_wait.is_zero() && now.since(oldest.created_at) >= max_wait {
        return Choice {
            seq: oldest.seq,
            reason: PickReason::Aged,
        };
    }
    match heads.resident.first() {
        Some(resident) => Choice {
            seq: resident.seq,
            reason: PickReason::Resident,
        },
        None => Choice {
            seq: oldest.seq,
            reason: PickReason::Oldest,
        },
    }
}

#[cfg(test)]
mod tests {
    use foreman_job::{HeadJob, Priority, RunnerKey};

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn head(seq: i64, runner: &str, created_at: i64) -> HeadJob {
        HeadJob {
            seq,
            priority: Priority::Normal,
            runner: RunnerKey::new(runner, ""),
            created_at: Timestamp::from_millis(created_at),
        }
    }

    fn heads(oldest: HeadJob, resident: Vec<HeadJob>) -> QueueHeads {
        QueueHeads { oldest, resident }
    }

    #[test]
    fn a_job_of_the_resident_runner_goes_before_an_older_one() {
        let heads = heads(head(1, "b", 0), vec![head(7, "a", 5_000)]);

        let choice = choose(&heads, Timestamp::from_millis(6_000), MINUTE);

        assert_eq!((choice.seq, choice.reason), (7, PickReason::Resident));
    }

    #[test]
    fn the_runner_of_the_last_job_goes_before_other_residents() {
        let heads = heads(
            head(1, "c", 0),
            vec![head(9, "a", 5_000), head(3, "b", 1_000)],
        );

        assert_eq!(choose(&heads, Timestamp::from_millis(6_000), MINUTE).seq, 9);
    }

    #[test]
    fn the_oldest_goes_when_nothing_is_resident() {
        let choice = choose(
            &heads(head(4, "b", 0), Vec::new()),
            Timestamp::from_millis(1),
            MINUTE,
        );

        assert_eq!((choice.seq, choice.reason), (4, PickReason::Oldest));
    }

    #[test]
    fn a_job_past_the_age_bound_goes_whatever_is_resident() {
        let heads = heads(head(1, "b", 0), vec![head(7, "a", 59_000)]);

        let before = choose(&heads, Timestamp::from_millis(59_999), MINUTE);
        let at = choose(&heads, Timestamp::from_millis(60_000), MINUTE);

        assert_eq!((before.seq, before.reason), (7, PickReason::Resident));
        assert_eq!((at.seq, at.reason), (1, PickReason::Aged));
    }

    #[test]
    fn without_an_age_bound_only_the_end_of_a_drain_ends_it() {
        let heads = heads(head(1, "b", 0), vec![head(7, "a", 59_000)]);

        let choice = choose(&heads, Timestamp::from_millis(i64::MAX), Duration::ZERO);

        assert_eq!(choice.seq, 7);
    }

    #[test]
    fn a_clock_that_went_back_ages_nobody() {
        let heads = heads(head(1, "b", 900_000), vec![head(7, "a", 901_000)]);

        assert_eq!(choose(&heads, Timestamp::from_millis(0), MINUTE).seq, 7);
    }
}
