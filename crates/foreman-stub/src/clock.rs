//! The wall clock, as a parameter.

use std::{fmt, sync::Arc};

use jiff::{SignedDuration, Timestamp, tz::Offset};

/// Says what time it is; tests may pass their own.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Clock {
    /// The computer's own clock.
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// A clock that asks `now` each time.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now) }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("now", &self.now()).finish()
    }
}

/// Go's largest duration, about 292 years: how far away "forever" is.
pub(crate) const FOREVER: SignedDuration = SignedDuration::from_nanos(i64::MAX);

/// `at` moved forward, saturating.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// A time with the server's zone offset, as Go prints local times.
pub(crate) fn local(at: Timestamp, offset: Offset) -> String {
    if offset == Offset::UTC {
        at.to_string()
    } else {
        at.display_with_offset(offset).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_drop_trailing_zeros_like_go() {
        let at: Timestamp = "2026-11-21T01:53:06.58837786Z".parse().unwrap();

        assert_eq!(at.to_string(), "2026-11-21T01:53:06.58837786Z");
        assert_eq!(
            local(at, Offset::constant(2)),
            "2026-11-21T03:53:06.58837786+02:00"
        );
        assert_eq!(
            later(at, FOREVER).to_string(),
            "2319-03-03T01:40:23.443153667Z"
        );
    }
}
