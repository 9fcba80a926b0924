//! Durations as Go's `time.ParseDuration` reads them.

use std::time::Duration;

use crate::error::DurationError;

/// Parses `1h30m`, `200ms`, `0` and the like, without a sign.
///
/// # Errors
///
/// Says in Go's words what is wrong, which includes a negative duration.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    match parse_signed(text)? {
        Signed { negative: true, .. } => Err(DurationError(format!("negative duration {text:?}"))),
        Signed {
            negative: false,
            length,
        } => Ok(length),
    }
}

/// A duration with its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// True below zero.
    pub(crate) negative: bool,
    /// The absolute value.
    pub(crate) length: Duration,
}

/// Parses a duration with an optional sign.
pub(crate) fn parse_signed(text: &str) -> Result<Signed, DurationError> {
    let invalid = || DurationError(format!("time: invalid duration {}", quoted(text)));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Signed {
            negative: false,
            length: Duration::ZERO,
        });
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: f64 = 0.0;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let value: f64 = number.parse().map_err(|_| invalid())?;
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        nanos += value * unit_nanos(unit, text)?;
        rest = after;
    }
    let length = Duration::try_from_secs_f64(nanos / 1e9).map_err(|_| invalid())?;
    Ok(Signed {
        negative: negative && !length.is_zero(),
        length,
    })
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn unit_nanos(unit: &str, text: &str) -> Result<f64, DurationError> {
    Ok(match unit {
        "ns" => 1.0,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 6e10,
        "h" => 3.6e12,
        "" => {
            return Err(DurationError(format!(
                "time: missing unit in duration {}",
                quoted(text)
            )));
        }
        other => {
            let (unit, text) = (quoted(other), quoted(text));
            return Err(DurationError(format!(
                "time: unknown unit {unit} in duration {text}"
            )));
        }
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_like_go() {
        let millis = |n| Ok(Duration::from_millis(n));
        for (text, expected) in [
            ("0", millis(0)),
            ("0s", millis(0)),
            ("200ms", millis(200)),
            ("1.5s", millis(1500)),
            ("1h30m", millis(5_400_000)),
            ("5", Err("time: missing unit in duration \"5\"")),
            ("", Err("time: invalid duration \"\"")),
            ("abc", Err("time: invalid duration \"abc\"")),
            ("5x", Err("time: unknown unit \"x\" in duration \"5x\"")),
            ("-1", Err("time: missing unit in duration \"-1\"")),
            ("-1m", Err("negative duration \"-1m\"")),
        ] {
            let found = parse_duration(text);
            assert_eq!(
                found,
                expected.map_err(|e: &str| DurationError(e.to_owned())),
                "{text}"
            );
        }
    }
}
