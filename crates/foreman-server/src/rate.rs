//! How often one caller may ask.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Rate;
use crate::error::ApiError;
use crate::fault::Fault;

/// What a caller has left of its rate: a bucket that fills evenly, and holds no more than a rate's
/// worth.
#[derive(Debug)]
pub(crate) struct Allowance {
    rate: Rate,
    /// In which one time is earned.
    cost: Duration,
    state: Mutex<Owed>,
}

#[derive(Debug, Clone, Copy)]
struct Owed {
    /// How long it takes until the bucket is full.
    owed: Duration,
    at: Instant,
}

impl Allowance {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let times = u32::try_from(rate.times).unwrap_or(u32::MAX).max(1);
        let owed = Duration::ZERO;
        Self {
            rate,
            cost: rate.per / times,
            state: Mutex::new(Owed { owed, at: now }),
        }
    }

    /// Takes one time, or says when to come back.
    pub(crate) fn take(&self, now: Instant) -> Result<(), ApiError> {
        let wait = {
            let mut state = self.lock();
            let owed = state.owed(now);
            let then = owed.saturating_add(self.cost);
            let wait = then.saturating_sub(self.rate.per);
            let owed = if wait.is_zero() { then } else { owed };
            *state = Owed { owed, at: now };
            wait
        };
        if wait.is_zero() {
            return Ok(());
        }
        let Rate { times, per } = self.rate;
        let message = format!("this caller may ask {times} times in {} s", per.as_secs());
        let begun = u64::from(wait.subsec_nanos() > 0);
        let seconds = wait.as_secs().saturating_add(begun);
        Err(ApiError::new(Fault::RateLimited, message).after(seconds))
    }

    /// Takes more times than are left, if need be: later requests wait for it.
    pub(crate) fn charge(&self, times: usize, now: Instant) {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        let mut state = self.lock();
        let owed = state.owed(now);
        *state = Owed {
            owed: owed.saturating_add(self.cost.saturating_mul(times)),
            at: now,
        };
    }

    fn lock(&self) -> MutexGuard<'_, Owed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owed {
    fn owed(&self, now: Instant) -> Duration {
        self.owed
            .saturating_sub(now.saturating_duration_since(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten_a_minute() -> (Allowance, Instant) {
        let rate = Rate {
            times: 10,
            per: Duration::from_mins(1),
        };
        let now = Instant::now();
        (Allowance::new(rate, now), now)
    }

    #[test]
    fn a_burst_may_be_as_large_as_the_rate_and_then_it_fills_evenly() {
        let (allowance, now) = ten_a_minute();
        let at = |seconds| now + Duration::from_secs(seconds);

        for _ in 0..10 {
            assert!(allowance.take(now).is_ok());
        }
        let refused = allowance.take(now).unwrap_err();
        let early = allowance.take(at(5));
        let later = allowance.take(at(6));
        let again = allowance.take(at(6));

        assert_eq!((refused.status(), refused.code()), (429, "rate_limited"));
        assert_eq!(refused.retry_after(), Some(6));
        assert!(early.is_err() && later.is_ok() && again.is_err());
    }

    #[test]
    fn a_long_pause_gives_no_more_than_one_burst() {
        let (allowance, now) = ten_a_minute();
        let later = now + Duration::from_hours(9);

        let granted = (0..30).filter(|_| allowance.take(later).is_ok()).count();

        assert_eq!(granted, 10);
    }

    #[test]
    fn what_stands_for_many_is_waited_for_afterwards() {
        let (allowance, now) = ten_a_minute();
        allowance.take(now).unwrap();

        allowance.charge(14, now);

        assert_eq!(allowance.take(now).unwrap_err().retry_after(), Some(36));
        assert!(allowance.take(now + Duration::from_secs(36)).is_ok());
    }
}
