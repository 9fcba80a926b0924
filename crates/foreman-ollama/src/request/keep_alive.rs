//! How long a model stays loaded after a request.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::request::check::RequestHead;
use crate::request::json::{Json, Kind};
use crate::request::text;

/// The largest span that the target can hold, in nanoseconds.
const MAX_NANOS: u64 = i64::MAX.unsigned_abs();

/// How long a model stays loaded after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Until it is unloaded.
    Forever,
    /// For this long after it went idle; zero unloads at once.
    For(Duration),
}

/// Why a value is no keep-alive; the message is Ollama's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeepAliveError(String);

impl KeepAlive {
    /// Unloads at once.
    pub const ZERO: Self = Self::For(Duration::ZERO);

    /// Reads a JSON value: seconds, a duration in Go's spelling, or `null` for none.
    ///
    /// # Errors
    ///
    /// What Ollama refuses, in its words.
    pub fn from_json(value: &[u8]) -> Result<Option<Self>, KeepAliveError> {
        let value = Json::new(value)
            .value()
            .map_err(|error| KeepAliveError(error.message()))?;
        let unsupported = |kind| Err(KeepAliveError(format!("Unsupported type: '{kind}'")));
        match value.kind {
            Kind::Null => Ok(None),
            Kind::Number => Ok(Some(Self::from_seconds(
                value.digits().parse().unwrap_or_default(),
            ))),
            Kind::String => Self::from_go(&value.text()).map(Some),
            Kind::Bool(_) => unsupported("bool"),
            Kind::Array => unsupported("[]interface {}"),
            Kind::Object => unsupported("map[string]interface {}"),
        }
    }

    /// Reads a duration in Go's spelling, such as `10m` or `1h30m`; a negative one is for ever.
    ///
    /// # Errors
    ///
    /// What Go refuses, in its words.
    pub fn from_go(text: &str) -> Result<Self, KeepAliveError> {
        let nanos = go_duration(text)?;
        Ok(u64::try_from(nanos).map_or(Self::Forever, |nanos| {
            Self::For(Duration::from_nanos(nanos))
        }))
    }

    /// Writes the JSON value that the target reads as this.
    pub fn to_json(self) -> String {
        match self {
            Self::Forever => "-1".to_owned(),
            Self::For(span) if span.subsec_nanos() == 0 => span.as_secs().to_string(),
            Self::For(span) => format!("\"{}ns\"", span.as_nanos().min(u128::from(MAX_NANOS))),
        }
    }

    /// Tells whether the model is to be unloaded at once.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    fn from_seconds(seconds: f64) -> Self {
        if seconds < 0.0 {
            return Self::Forever;
        }
        let longest = Duration::from_nanos(MAX_NANOS);
        Self::For(Duration::try_from_secs_f64(seconds).map_or(longest, |span| span.min(longest)))
    }
}

/// Puts a keep-alive into a body, where it overrides any that is there.
///
/// It is written before the closing brace of the object; every other byte stays as it is. The
/// target takes the last of several equal keys.
pub fn with_keep_alive(body: &Bytes, head: &RequestHead, keep_alive: &KeepAlive) -> Bytes {
    let Some((object, rest)) = body.split_at_checked(head.object_end) else {
        return body.clone();
    };
    let value = keep_alive.to_json();
    let mut spliced = BytesMut::with_capacity(body.len().saturating_add(value.len() + 16));
    spliced.put_slice(object);
    if !object.trim_ascii_end().ends_with(b"{") {
        spliced.put_u8(b',');
    }
    spliced.put_slice(b"\"keep_alive\":");
    spliced.put_slice(value.as_bytes());
    spliced.put_slice(rest);
    spliced.freeze()
}

/// Parses a duration as Go does; returns nanoseconds.
fn go_duration(text: &str) -> Result<i64, KeepAliveError> {
    let invalid = || KeepAliveError(format!("time: invalid duration {}", time_quoted(text)));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_end).unwrap_or((after, ""));
        let scale = unit_nanos(unit).ok_or_else(|| unit_error(unit, text))?;
        total = span_nanos(whole, fraction, scale)
            .and_then(|nanos| total.checked_add(nanos))
            .filter(|total| *total <= MAX_NANOS + 1)
            .ok_or_else(invalid)?;
        rest = after;
    }
    match (negative, i64::try_from(total)) {
        (true, Ok(total)) => Ok(total.saturating_neg()),
        (true, Err(_)) => Ok(i64::MIN),
        (false, Ok(total)) => Ok(total),
        (false, Err(_)) => Err(invalid()),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn unit_error(unit: &str, text: &str) -> KeepAliveError {
    let text = time_quoted(text);
    KeepAliveError(if unit.is_empty() {
        format!("time: missing unit in duration {text}")
    } else {
        format!(
            "time: unknown unit {} in duration {text}",
            time_quoted(unit)
        )
    })
}

/// Multiplies a decimal number with its unit, rounding down.
fn span_nanos(whole: &str, fraction: &str, scale: u64) -> Option<u64> {
    let number = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<u64>().ok(),
    };
    // More digits than that are below a nanosecond for every unit.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = u128::from(number(fraction)?)
        .checked_mul(u128::from(scale))?
        .checked_div(divisor)?;
    number(whole)?
        .checked_mul(scale)?
        .checked_add(u64::try_from(part).ok()?)
}

/// Quotes a text as Go's time package does.
fn time_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
            out.push(c);
        } else if c < ' ' || !c.is_ascii() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&text::hex_byte(byte));
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn seconds(seconds: u64) -> KeepAlive {
        KeepAlive::For(Duration::from_secs(seconds))
    }

    #[rstest]
    #[case("null", None)]
    #[case("0", Some(seconds(0)))]
    #[case("5", Some(seconds(5)))]
    #[case("1.5", Some(KeepAlive::For(Duration::from_millis(1500))))]
    #[case("-1", Some(KeepAlive::Forever))]
    #[case("-0.001", Some(KeepAlive::Forever))]
    #[case("1e300", Some(KeepAlive::For(Duration::from_nanos(MAX_NANOS))))]
    #[case(r#""10m""#, Some(seconds(600)))]
    #[case(r#""1h30m""#, Some(seconds(5400)))]
    #[case(r#""1.5h""#, Some(seconds(5400)))]
    #[case(r#"".5m""#, Some(seconds(30)))]
    #[case(r#""0""#, Some(seconds(0)))]
    #[case(r#""0s""#, Some(seconds(0)))]
    #[case(r#""-1m""#, Some(KeepAlive::Forever))]
    #[case(r#""250ms""#, Some(KeepAlive::For(Duration::from_millis(250))))]
    fn every_accepted_form_is_read(#[case] json: &str, #[case] keep_alive: Option<KeepAlive>) {
        assert_eq!(KeepAlive::from_json(json.as_bytes()), Ok(keep_alive));
    }

    #[rstest]
    #[case(r#""5""#, r#"time: missing unit in duration "5""#)]
    #[case(r#""-1""#, r#"time: missing unit in duration "-1""#)]
    #[case(r#""""#, r#"time: invalid duration """#)]
    #[case(r#""abc""#, r#"time: invalid duration "abc""#)]
    #[case(r#""5x""#, r#"time: unknown unit "x" in duration "5x""#)]
    #[case(r#""5 m""#, r#"time: unknown unit " m" in duration "5 m""#)]
    #[case(r#""99999999h""#, r#"time: invalid duration "99999999h""#)]
    #[case("true", "Unsupported type: 'bool'")]
    #[case("[]", "Unsupported type: '[]interface {}'")]
    #[case("{}", "Unsupported type: 'map[string]interface {}'")]
    fn every_refused_form_has_ollamas_words(#[case] json: &str, #[case] message: &str) {
        let error = KeepAlive::from_json(json.as_bytes()).unwrap_err();

        assert_eq!(error.to_string(), message);
    }

    #[rstest]
    #[case(KeepAlive::Forever, "-1")]
    #[case(KeepAlive::ZERO, "0")]
    #[case(KeepAlive::For(Duration::from_mins(30)), "1800")]
    #[case(KeepAlive::For(Duration::from_millis(1500)), "\"1500000000ns\"")]
    fn what_is_written_is_read_again(#[case] keep_alive: KeepAlive, #[case] json: &str) {
        assert_eq!(keep_alive.to_json(), json);
        assert_eq!(KeepAlive::from_json(json.as_bytes()), Ok(Some(keep_alive)));
    }
}
