//! Keeps jobs from being sent to a target that does not answer.
//!
//! Closed, jobs run. A failure that concerns the target rather than the job opens it: nothing is
//! dispatched, no attempt is spent, and after a growing pause the target is probed. A probe that
//! succeeds lets one real job through; only the success of a job forgets the failures, so that a
//! target that answers probes but no jobs is not hammered.

use std::time::Duration;

use foreman_job::backoff;
use tokio::time::Instant;

/// The longest pause that a target may ask for.
const MAX_ASKED: Duration = Duration::from_mins(5);

/// Tells whether anything may be sent to the target.
#[derive(Debug)]
pub(crate) struct Breaker {
    base: Duration,
    max: Duration,
    failures: u32,
    probe_at: Option<Instant>,
}

impl Breaker {
    /// Makes a closed breaker whose pauses grow from `base` to `max`.
    pub(crate) const fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            failures: 0,
            probe_at: None,
        }
    }

    /// Returns when to probe; none while it is closed.
    pub(crate) const fn probe_at(&self) -> Option<Instant> {
        self.probe_at
    }

    /// Opens it, or keeps it open after a probe that failed; returns the pause.
    pub(crate) fn open(&mut self, now: Instant, asked: Option<Duration>, unit: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let own = backoff(self.base, self.max, self.failures, unit);
        let pause = asked.map_or(own, |asked| asked.min(MAX_ASKED).max(own));
        self.probe_at = Some(now + pause);
        pause
    }

    /// Closes it after a probe that succeeded: the next job is the real test.
    pub(crate) const fn close(&mut self) {
        self.probe_at = None;
    }

    /// Forgets the failures: a job reached the target.
    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
        self.probe_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Duration::from_millis(250), Duration::from_secs(5))
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_a_job_succeeds() {
        let mut breaker = breaker();
        let now = Instant::now();

        let pauses: Vec<u128> = (0..7)
            .map(|_| breaker.open(now, None, 0.5).as_millis())
            .collect();
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);

        breaker.close();
        assert_eq!(breaker.probe_at(), None);
        assert_eq!(breaker.open(now, None, 0.5).as_millis(), 5_000);

        breaker.succeeded();
        assert_eq!(breaker.open(now, None, 0.5).as_millis(), 250);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_target_asks_for_is_kept_within_reason() {
        let now = Instant::now();
        let asked = |seconds| breaker().open(now, Some(Duration::from_secs(seconds)), 0.5);

        assert_eq!(asked(2), Duration::from_secs(2));
        assert_eq!(asked(99_999), MAX_ASKED);
        assert_eq!(asked(0), Duration::from_millis(250));
    }
}
