//! Durations as people write them: `500ms`, `30s`, `1h30m`, `7d`.

use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;

use super::error::InvalidValue;

/// Units in which a duration is written, with their lengths in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Longer is a slip of the keyboard, and would overflow sums with the clock.
const LONGEST: Duration = Duration::from_hours(24 * 3660);

/// Reads a duration: numbers with units from weeks to nanoseconds, or `0`.
///
/// # Errors
///
/// Says what was expected; months and years have no fixed length and are refused.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidValue> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let invalid = || InvalidValue::expected("a duration such as 500ms, 30s, 5m, 1h30m or 7d");
    let span = SpanParser::new().parse_span(text).map_err(|_| invalid())?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(invalid().because("months and years have no fixed length"));
    }
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| invalid())?;
    let duration = Duration::try_from(signed).map_err(|_| invalid().because("it is negative"))?;
    if duration > LONGEST {
        return Err(invalid().because("it is longer than ten years"));
    }
    Ok(duration)
}

/// Writes a duration so that [`parse_duration`] reads it again, such as `1h30m`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (unit, length) in UNITS {
        // One day is better known as 24h.
        let count = rest / length;
        if count == 0 || (unit == "d" && count < 2) {
            continue;
        }
        text.push_str(&count.to_string());
        text.push_str(unit);
        rest %= length;
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", Duration::ZERO, "0s")]
    #[case("0s", Duration::ZERO, "0s")]
    #[case("500ms", Duration::from_millis(500), "500ms")]
    #[case(" 30s ", Duration::from_secs(30), "30s")]
    #[case("90s", Duration::from_secs(90), "1m30s")]
    #[case("1.5s", Duration::from_millis(1500), "1s500ms")]
    #[case("5m", Duration::from_mins(5), "5m")]
    #[case("1h30m", Duration::from_mins(90), "1h30m")]
    #[case("1 hour 30 minutes", Duration::from_mins(90), "1h30m")]
    #[case("24h", Duration::from_hours(24), "24h")]
    #[case("7d", Duration::from_hours(168), "7d")]
    #[case("2w", Duration::from_hours(336), "14d")]
    #[case("60h", Duration::from_hours(60), "2d12h")]
    #[case("250us", Duration::from_micros(250), "250us")]
    fn a_friendly_duration_is_read_and_written(
        #[case] text: &str,
        #[case] duration: Duration,
        #[case] written: &str,
    ) {
        assert_eq!(parse_duration(text), Ok(duration));
        assert_eq!(format_duration(duration), written);
        assert_eq!(parse_duration(written), Ok(duration));
    }

    #[rstest]
    #[case("")]
    #[case("5")]
    #[case("-5s")]
    #[case("5m ago")]
    #[case("1mo")]
    #[case("1y")]
    #[case("soon")]
    #[case("5 parsecs")]
    #[case("600w")]
    #[case("9999999999999999999s")]
    fn a_text_that_is_no_duration_says_what_is_expected(#[case] text: &str) {
        let message = parse_duration(text).unwrap_err().to_string();

        assert!(message.ends_with("expected a duration such as 500ms, 30s, 5m, 1h30m or 7d"));
    }
}
