//! Times as people say them.

use std::time::Duration;

use foreman_job::{Clock, SystemClock};

use crate::screen::Paint;

/// Writes a duration in its two largest units, such as `3m20s`.
pub(crate) fn brief(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => {
            let tenths = time.subsec_millis() / 100;
            format!("{rest}.{tenths}s")
        }
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m{rest:02}s"),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

/// Returns how long ago a time was.
pub(crate) fn age(time: &str) -> Option<Duration> {
    let now = SystemClock.now().as_millis();
    let then = millis(time)?;
    Some(Duration::from_millis(
        u64::try_from(now.saturating_sub(then)).unwrap_or_default(),
    ))
}

/// Returns the time from one to another.
pub(crate) fn between(from: &str, to: &str) -> Option<Duration> {
    let span = millis(to)?.saturating_sub(millis(from)?);
    Some(Duration::from_millis(u64::try_from(span).ok()?))
}

/// Returns the colour of a state.
pub(crate) fn of_state(state: &str) -> Paint {
    match state {
        "done" => Paint::Good,
        "failed" => Paint::Bad,
        "loading" | "working" => Paint::Busy,
        "cancelled" => Paint::Dim,
        _ => Paint::None,
    }
}

fn millis(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0.0s")]
    #[case(1_250, "1.2s")]
    #[case(59_000, "59s")]
    #[case(61_000, "1m01s")]
    #[case(3_600_000, "1h00m")]
    #[case(90_000_000, "1d01h")]
    fn a_duration_is_short(#[case] millis: u64, #[case] text: &str) {
        assert_eq!(brief(Duration::from_millis(millis)), text);
    }

    #[test]
    fn a_span_needs_two_times_in_order() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01.5Z");

        assert_eq!(between(early, late), Some(Duration::from_millis(1500)));
        assert_eq!(between(late, early), None);
        assert_eq!(between("soon", late), None);
    }
}
