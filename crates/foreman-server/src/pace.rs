//! How fast jobs end, to tell refused callers when to come back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A pause in the work says nothing about its pace.
const LONGEST: Duration = Duration::from_mins(2);
/// How much the last interval counts.
const WEIGHT: f64 = 0.2;

/// The mean time between the ends of two jobs.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    last: Option<Instant>,
    mean: Option<Duration>,
}

impl Pace {
    /// Notes that a job ended.
    pub(crate) fn job_ended(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = state.last.replace(now) {
            let interval = now.saturating_duration_since(last).min(LONGEST);
            let mean = state.mean.map_or(interval, |mean| {
                mean.mul_f64(1.0 - WEIGHT) + interval.mul_f64(WEIGHT)
            });
            state.mean = Some(mean);
        }
    }

    /// Returns after how many seconds a backlog of so many jobs will be done, 1 to 120.
    pub(crate) fn retry_after(&self, backlog: u64) -> u64 {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mean = state.mean.unwrap_or(Duration::from_secs(1));
        let backlog = u32::try_from(backlog).unwrap_or(u32::MAX);
        mean.saturating_mul(backlog).as_secs().clamp(1, 120)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_is_told_by_backlog_and_pace() {
        let pace = Pace::default();
        let start = Instant::now();
        for second in 0..20 {
            pace.job_ended(start + Duration::from_secs(3) * second);
        }

        assert_eq!(pace.retry_after(10), 30);
        assert_eq!(pace.retry_after(0), 1);
        assert_eq!(pace.retry_after(1_000_000), 120);
    }

    #[test]
    fn without_experience_a_job_takes_a_second() {
        assert_eq!(Pace::default().retry_after(7), 7);
    }
}
