//! The tokens of callers, from a compact text or from tables in the settings file.
//!
//! The compact text is `name=token`, then as wanted `;max_priority=low`, `;max_queued=100`,
//! `;max_concurrent=4`, `;max_rate=60/m`; entries are separated by commas or line ends, and a line that starts with
//! `#` is a comment. No message repeats any part of an entry: a slip may put the token anywhere.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use foreman_job::Priority;
use foreman_ollama::Secret;

use super::error::InvalidValue;
use super::raw::Raw;

/// Shorter tokens can be guessed.
const SHORTEST: usize = 8;
const LONGEST_NAME: usize = 64;

/// A caller that is known by its token, with its caps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerToken {
    /// Who has it; unique.
    pub name: String,
    /// What the caller sends; unique.
    pub token: Secret,
    /// The highest priority that the caller gets; none: any.
    pub max_priority: Option<Priority>,
    /// Jobs of the caller that may wait.
    pub max_queued: Option<u64>,
    /// Requests of the caller that may be open at once.
    pub max_concurrent: Option<u64>,
    /// How often the caller may ask for something.
    pub max_rate: Option<CallerRate>,
}

/// So many requests in a time, written `60/m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerRate {
    /// How many.
    pub times: u64,
    /// In how long.
    pub per: RateUnit,
}

/// The time of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateUnit {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
}

impl RateUnit {
    /// Returns the time.
    pub const fn duration(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
        }
    }
}

impl fmt::Display for CallerRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.times, self.per.letter())
    }
}

/// One entry before its fields are understood.
type Fields = Vec<(String, String)>;

/// Reads tokens from a text or a list of tables.
pub(super) fn parse_tokens(raw: &Raw) -> Result<Vec<CallerToken>, InvalidValue> {
    let entries = match raw {
        Raw::Text(text) => compact_entries(text),
        Raw::List(items) => items.iter().map(table_entry).collect(),
        Raw::Whole(_) | Raw::Switch(_) | Raw::Table(_) | Raw::Other(_) => return Err(invalid()),
    };
    if entries.is_empty() {
        return Err(invalid().because("there is no entry"));
    }
    let mut tokens = Vec::new();
    let mut reasons = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        match entry.and_then(|fields| understand(&fields)) {
            Ok(token) => tokens.push(token),
            Err(reason) => reasons.push(format!("entry {number} {reason}")),
        }
    }
    reasons.extend(repetitions(&tokens));
    if reasons.is_empty() {
        Ok(tokens)
    } else {
        Err(invalid().because(reasons.join("; ")))
    }
}

/// Writes tokens for people: names and caps, never a token.
pub(super) fn masked(tokens: &[CallerToken]) -> String {
    let entry = |caller: &CallerToken| {
        let caps = [
            caller
                .max_priority
                .map(|cap| format!(";max_priority={cap}")),
            caller.max_queued.map(|cap| format!(";max_queued={cap}")),
            caller
                .max_concurrent
                .map(|cap| format!(";max_concurrent={cap}")),
            caller.max_rate.map(|cap| format!(";max_rate={cap}")),
        ];
        let caps: String = caps.into_iter().flatten().collect();
        format!("{}={}{caps}", caller.name, caller.token)
    };
    tokens.iter().map(entry).collect::<Vec<_>>().join(",")
}

fn invalid() -> InvalidValue {
    InvalidValue::expected(
        "name=token entries, with ;max_priority=, ;max_queued=, ;max_concurrent= and ;max_rate= \
         as wanted",
    )
    .hidden()
}

fn compact_entries(text: &str) -> Vec<Result<Fields, String>> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(compact_entry)
        .collect()
}

fn compact_entry(entry: &str) -> Result<Fields, String> {
    let mut parts = entry.split(';').map(|part| part.split_once('='));
    let Some(Some((name, token))) = parts.next() else {
        return Err("is not of the form name=token".to_owned());
    };
    let mut fields = vec![
        ("name".to_owned(), name.trim().to_owned()),
        ("token".to_owned(), token.trim().to_owned()),
    ];
    for part in parts {
        let (key, value) = part.ok_or("has a cap without a value")?;
        let key = key.trim();
        if matches!(key, "name" | "token") {
            return Err(UNKNOWN_FIELD.to_owned());
        }
        fields.push((key.to_owned(), value.trim().to_owned()));
    }
    Ok(fields)
}

fn table_entry(item: &Raw) -> Result<Fields, String> {
    let Raw::Table(table) = item else {
        return Err("is no table".to_owned());
    };
    table
        .iter()
        .map(|(key, value)| {
            let value = if matches!(key.as_str(), "name" | "token") {
                value.text().map(str::to_owned)
            } else {
                value.scalar()
            };
            let value = value.ok_or("has a field that is no text (texts need quotes)")?;
            Ok((key.clone(), value))
        })
        .collect()
}

const UNKNOWN_FIELD: &str =
    "has a field other than name, token, max_priority, max_queued, max_concurrent and max_rate";

fn understand(fields: &Fields) -> Result<CallerToken, String> {
    let (mut name, mut token) = (None, None);
    let (mut max_priority, mut max_queued, mut max_concurrent) = (None, None, None);
    let mut max_rate = None;
    for (key, value) in fields {
        match key.as_str() {
            "name" => name = Some(checked_name(value)?),
            "token" => token = Some(checked_token(value)?),
            "max_priority" => {
                max_priority = Some(cap(value, "max_priority, expected high, normal or low")?);
            }
            "max_queued" => max_queued = Some(count(value, "max_queued")?),
            "max_concurrent" => max_concurrent = Some(count(value, "max_concurrent")?),
            "max_rate" => max_rate = Some(rate(value).ok_or(BAD_RATE)?),
            _ => return Err(UNKNOWN_FIELD.to_owned()),
        }
    }
    Ok(CallerToken {
        name: name.ok_or("has no name")?,
        token: token.ok_or("has no token")?,
        max_priority,
        max_queued,
        max_concurrent,
        max_rate,
    })
}

fn checked_name(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        return Err(format!(
            "has a bad name, expected 1 to {LONGEST_NAME} letters, digits or . _ - @"
        ));
    }
    Ok(name.to_owned())
}

fn checked_token(token: &str) -> Result<Secret, String> {
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err("has a token with a space or a character outside ASCII".to_owned());
    }
    if token.len() < SHORTEST {
        return Err(format!("has a token of fewer than {SHORTEST} characters"));
    }
    Ok(Secret::new(token))
}

fn count(value: &str, field: &str) -> Result<u64, String> {
    let number: u64 = cap(value, &format!("{field}, expected a whole number from 1"))?;
    if number == 0 {
        return Err(format!("has a bad {field}, expected a whole number from 1"));
    }
    Ok(number)
}

const BAD_RATE: &str = "has a bad max_rate, expected a rate such as 10/s, 60/m or 1000/h";

fn rate(value: &str) -> Option<CallerRate> {
    let (times, unit) = value.split_once('/')?;
    let per = match unit.trim() {
        "s" => RateUnit::Second,
        "m" => RateUnit::Minute,
        "h" => RateUnit::Hour,
        _ => return None,
    };
    let times = times.trim().parse().ok().filter(|times| *times > 0)?;
    Some(CallerRate { times, per })
}

fn cap<T: FromStr>(value: &str, what: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("has a bad {what}"))
}

fn repetitions(tokens: &[CallerToken]) -> Vec<String> {
    let names: BTreeSet<_> = tokens.iter().map(|caller| &caller.name).collect();
    let secrets: BTreeSet<_> = tokens.iter().map(|caller| caller.token.expose()).collect();
    let mut reasons = Vec::new();
    if names.len() < tokens.len() {
        reasons.push("two entries have the same name".to_owned());
    }
    if secrets.len() < tokens.len() {
        reasons.push("two entries have the same token".to_owned());
    }
    // Names are shown in listings and logs.
    let gives_away = |name: &&String| secrets.iter().any(|secret| name.contains(secret));
    if names.iter().any(gives_away) {
        reasons.push("a name holds a token".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str) -> Result<Vec<CallerToken>, InvalidValue> {
        parse_tokens(&Raw::Text(text.to_owned()))
    }

    #[test]
    fn a_compact_text_holds_callers_with_their_caps() {
        let text = "alice=0123456=;max_priority=normal;max_queued=100, bob=a-longer-one;max_concurrent=4;max_rate=60/m,";

        let tokens = read(text).unwrap();

        assert_eq!(tokens.len(), 2);
        assert_eq!(tokens[0].name, "alice");
        assert_eq!(tokens[0].token.expose(), "0123456=");
        assert_eq!(tokens[0].max_priority, Some(Priority::Normal));
        assert_eq!(tokens[0].max_queued, Some(100));
        assert_eq!(tokens[1].max_concurrent, Some(4));
        assert_eq!(tokens[1].max_priority, None);
        let rate = CallerRate {
            times: 60,
            per: RateUnit::Minute,
        };
        assert_eq!((tokens[0].max_rate, tokens[1].max_rate), (None, Some(rate)));
        assert_eq!(
            masked(&tokens),
            "alice=***;max_priority=normal;max_queued=100,bob=***;max_concurrent=4;max_rate=60/m"
        );
    }

    #[test]
    fn a_file_may_hold_lines_and_comments() {
        let tokens = read("# team, one\nalice=alice-token\n\nbob=bob-token-2\n").unwrap();

        assert_eq!(tokens.len(), 2);
    }

    #[rstest]
    #[case("supersecret", "entry 1 is not of the form name=token")]
    #[case("alice=", "entry 1 has a token of fewer than 8 characters")]
    #[case("alice=short77", "entry 1 has a token of fewer than 8 characters")]
    #[case("=long-enough", "entry 1 has a bad name")]
    #[case("al ice=long-enough", "entry 1 has a bad name")]
    #[case("a=long enough", "entry 1 has a token with a space")]
    #[case("a=long-enough;max_queued", "entry 1 has a cap without a value")]
    #[case("a=long-enough;max_queued=0", "entry 1 has a bad max_queued")]
    #[case("a=long-enough;max_concurrent=x", "entry 1 has a bad max_concurrent")]
    #[case("a=long-enough;max_priority=top", "entry 1 has a bad max_priority")]
    #[case("a=long-enough;max_rate=60", "entry 1 has a bad max_rate")]
    #[case("a=long-enough;max_rate=0/s", "entry 1 has a bad max_rate")]
    #[case("a=long-enough;max_rate=1/d", "entry 1 has a bad max_rate")]
    #[case("a=long-enough;name=b", "entry 1 has a field other than")]
    #[case("a=long-enough;colour=b", "entry 1 has a field other than")]
    #[case("a=long-enough,a=another-one", "two entries have the same name")]
    #[case("a=long-enough,b=long-enough", "two entries have the same token")]
    #[case("a-long-enough=long-enough", "a name holds a token")]
    #[case("long-enough=another-one,b=long-enough", "a name holds a token")]
    #[case("a=long-enough,b", "entry 2 is not of the form name=token")]
    #[case(" , ", "there is no entry")]
    fn a_bad_entry_is_named_by_its_number(#[case] text: &str, #[case] reason: &str) {
        let error = read(text).unwrap_err();

        let message = error.to_string();
        assert!(message.contains(reason), "{message}");
        assert!(!message.contains("long-enough") && error.hides_value());
    }

    #[test]
    fn every_bad_entry_is_named() {
        let message = read("a,b=long-enough,c=x").unwrap_err().to_string();

        assert!(message.contains("entry 1 ") && message.contains("entry 3 "));
    }
}
