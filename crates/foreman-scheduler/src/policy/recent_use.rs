//! How much each caller has had of the target lately.

use std::collections::BTreeMap;
use std::time::Duration;

/// After this time half of what a caller has had is forgotten.
const HALF_LIFE: Duration = Duration::from_mins(10);

/// A caller that comes back from a pause is at most so much better off than one that was busy: it
/// goes first at once, and takes turns soon after.
const CREDIT: Duration = Duration::from_mins(1);

/// A job counts as at least this long, so that callers of short jobs take turns instead of being
/// measured by noise.
const TURN: Duration = Duration::from_secs(1);

/// Callers that are remembered; beyond it the least of them are forgotten.
const REMEMBERED: usize = 4096;

/// The time that each caller's jobs ran, less and less of it the longer ago that is.
///
/// All callers without a name are one. Times are those of a monotonic clock, from any start.
#[derive(Debug, Clone, Default)]
pub struct RecentUse {
    unnamed: Used,
    named: BTreeMap<String, Used>,
}

/// What a caller had used at a time, in seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    seconds: f64,
    at: Duration,
}

impl RecentUse {
    /// Returns what counts of a caller's use, in seconds.
    pub fn of(&self, caller: Option<&str>, now: Duration) -> f64 {
        match caller {
            None => self.unnamed.left(now),
            Some(name) => self.named.get(name).map_or(0.0, |used| used.left(now)),
        }
    }

    /// Adds the time that a job of the caller ran, without the load of its model: that served
    /// whoever came next, too.
    pub fn charge(&mut self, caller: Option<&str>, ran: Duration, now: Duration) {
        let seconds = self.of(caller, now) + ran.max(TURN).as_secs_f64();
        self.set(caller, Used { seconds, at: now });
    }

    /// Notes that the caller was picked while another waited that has used `most`: what it is
    /// better off is bounded.
    pub fn picked(&mut self, caller: Option<&str>, most: f64, now: Duration) {
        let least = most - CREDIT.as_secs_f64();
        if self.of(caller, now) < least {
            let seconds = least;
            self.set(caller, Used { seconds, at: now });
        }
    }

    fn set(&mut self, caller: Option<&str>, used: Used) {
        let Some(name) = caller else {
            self.unnamed = used;
            return;
        };
        self.named.insert(name.to_owned(), used);
        if self.named.len() > REMEMBERED {
            self.forget(used.at);
        }
    }

    /// Forgets the half that has used least.
    fn forget(&mut self, now: Duration) {
        let mut left: Vec<f64> = self.named.values().map(|used| used.left(now)).collect();
        left.sort_by(f64::total_cmp);
        let middle = left.get(left.len() / 2).copied().unwrap_or_default();
        self.named.retain(|_, used| used.left(now) > middle);
    }
}

impl Used {
    fn left(&self, now: Duration) -> f64 {
        let age = now.saturating_sub(self.at);
        let half_lives = age.as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.seconds * (-half_lives).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn half_of_what_was_used_is_forgotten_in_ten_minutes() {
        let mut used = RecentUse::default();
        used.charge(Some("ann"), at(120), at(0));

        assert!(close(used.of(Some("ann"), at(0)), 120.0));
        assert!(close(used.of(Some("ann"), at(600)), 60.0));
        assert!(close(used.of(Some("ann"), at(1200)), 30.0));
        assert!(close(used.of(None, at(0)), 0.0));
    }

    #[test]
    fn a_short_job_counts_as_a_turn() {
        let mut used = RecentUse::default();
        used.charge(None, Duration::from_millis(2), at(0));
        used.charge(None, at(3), at(0));

        assert!(close(used.of(None, at(0)), 4.0));
    }

    #[test]
    fn who_comes_back_from_a_pause_is_better_off_by_a_minute_at_most() {
        let mut used = RecentUse::default();
        used.charge(Some("busy"), at(500), at(0));

        used.picked(Some("back"), used.of(Some("busy"), at(0)), at(0));
        used.picked(Some("busy"), used.of(Some("back"), at(0)), at(0));

        assert!(close(used.of(Some("back"), at(0)), 440.0));
        assert!(close(used.of(Some("busy"), at(0)), 500.0));
    }

    #[test]
    fn callers_beyond_number_do_not_fill_the_memory() {
        let mut used = RecentUse::default();
        used.charge(Some("busy"), at(500), at(0));
        for number in 0..20_000 {
            used.charge(Some(&format!("caller {number}")), at(1), at(number));
        }

        assert!(used.named.len() <= REMEMBERED);
        assert!(used.of(Some("caller 19999"), at(20_000)) > 0.0);
    }

    #[test]
    fn one_caller_too_many_has_the_half_forgotten_that_used_least() {
        let mut used = RecentUse::default();
        for number in 1..=REMEMBERED {
            let seconds = u64::try_from(number).unwrap();
            used.charge(Some(&format!("caller {number}")), at(seconds), at(0));
        }
        assert_eq!(used.named.len(), REMEMBERED, "as many are remembered");

        used.charge(Some("one more"), at(1_000_000), at(0));

        let half = REMEMBERED / 2;
        assert_eq!(used.named.len(), half);
        let first_kept = half + 2;
        assert!(close(
            used.of(Some(&format!("caller {}", first_kept - 1)), at(0)),
            0.0
        ));
        assert!(used.of(Some(&format!("caller {first_kept}")), at(0)) > 0.0);
        assert!(used.of(Some("one more"), at(0)) > 0.0);
    }
}
