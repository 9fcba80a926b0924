//! Time, as a parameter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A wall-clock time in whole milliseconds since 1970, UTC.
///
/// Stored times are for people and for deadlines that must survive a restart. Within one life of
/// the process they come from a clock that does not jump: see [`SteadyClock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Takes milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Adds a duration; stops at the end of time instead of overflowing.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// Subtracts a duration; stops at the beginning of time instead of overflowing.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// Returns the time since `earlier`, zero when the clock went back.
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// Writes RFC 3339 in UTC with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the time now.
    fn now(&self) -> Timestamp;

    /// Takes a time that somebody read off a wall clock, or means of one, as this clock has it.
    fn translate(&self, wall: Timestamp) -> Timestamp {
        wall
    }
}

/// The machine's wall clock: it may jump, forward and back.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A clock that starts as a wall clock does and then only goes on.
///
/// It counts what has passed since, the time included that the machine slept. Whoever sets the wall
/// clock changes nothing here until the next start.
///
/// ```
/// use foreman_job::{Clock, SteadyClock};
///
/// let clock = SteadyClock::default();
/// let before = clock.now();
/// assert!(clock.now() >= before);
/// ```
#[derive(Debug, Clone)]
pub struct SteadyClock {
    wall: Arc<dyn Clock>,
    start: Timestamp,
    began: Duration,
}

/// The clock that counts while the machine sleeps, and that nobody can set.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::Boottime;

/// The clock that counts while the machine sleeps, and that nobody can set.
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::Monotonic;

/// Two clocks that are read one after the other differ without either having been set.
const TOLERANCE: Duration = Duration::from_secs(1);

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl SteadyClock {
    /// Starts from what a wall clock says now.
    pub fn starting_at(wall: Arc<dyn Clock>) -> Self {
        Self {
            start: wall.now(),
            began: uptime(),
            wall,
        }
    }

    /// Returns how far the wall clock was set since the start: forward, or back.
    fn set_by(&self) -> (Duration, Duration) {
        let (here, wall) = (self.now(), self.wall.now());
        let steps = (wall.since(here), here.since(wall));
        if steps.0.max(steps.1) < TOLERANCE {
            return (Duration::ZERO, Duration::ZERO);
        }
        steps
    }
}

impl Default for SteadyClock {
    /// Starts from what the machine's wall clock says now.
    fn default() -> Self {
        Self::starting_at(Arc::new(SystemClock))
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.start
            .saturating_add(uptime().saturating_sub(self.began))
    }

    fn translate(&self, wall: Timestamp) -> Timestamp {
        let (forward, back) = self.set_by();
        wall.saturating_sub(forward).saturating_add(back)
    }
}

fn uptime() -> Duration {
    let time = clock_gettime(UPTIME);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_millis(1_795_225_898_007).to_string(),
            "2026-11-21T01:51:38.007Z"
        );
        assert_eq!(
            Timestamp::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn a_clock_that_went_back_gives_no_time_instead_of_a_negative_one() {
        let earlier = Timestamp::from_millis(5_000);

        assert_eq!(Timestamp::from_millis(4_000).since(earlier), Duration::ZERO);
        assert_eq!(
            Timestamp::from_millis(7_000).since(earlier),
            Duration::from_secs(2)
        );
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        assert_eq!(
            Timestamp::from_millis(i64::MAX)
                .saturating_add(Duration::MAX)
                .as_millis(),
            i64::MAX
        );
        assert_eq!(
            Timestamp::from_millis(i64::MIN)
                .saturating_sub(Duration::MAX)
                .as_millis(),
            i64::MIN
        );
    }

    /// A wall clock that can be set.
    #[derive(Debug)]
    struct Settable(AtomicI64);

    impl Clock for Settable {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    const DAY: i64 = 24 * 60 * 60 * 1000;

    #[rstest::rstest]
    #[case::forward(DAY)]
    #[case::back(-DAY)]
    fn a_wall_clock_that_is_set_moves_no_steady_clock(#[case] step: i64) {
        let wall = Arc::new(Settable(AtomicI64::new(10 * DAY)));
        let clock = SteadyClock::starting_at(Arc::<Settable>::clone(&wall));
        let before = clock.now();

        wall.0.fetch_add(step, Ordering::SeqCst);

        let after = clock.now();
        assert!(after >= before);
        assert!(after.since(before) < Duration::from_hours(1));
        // "In an hour", by the wall clock that the caller sees.
        let wished = wall.now().saturating_add(Duration::from_hours(1));
        let wait = clock.translate(wished).since(after);
        assert!(
            wait > Duration::from_mins(55) && wait < Duration::from_mins(65),
            "{wait:?}"
        );
    }

    #[test]
    fn a_time_is_taken_as_it_is_while_nobody_sets_the_wall_clock() {
        let clock = SteadyClock::default();
        let wished = Timestamp::from_millis(1_795_225_898_007);

        assert_eq!(clock.translate(wished), wished);
        assert_eq!(SystemClock.translate(wished), wished);
    }
}
