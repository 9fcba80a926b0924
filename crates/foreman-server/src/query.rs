//! What a request asks for behind the question mark.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::error::ApiError;
use crate::fault::Fault;

/// No route takes so many parameters; each is compared with all others.
const MOST: usize = 16;

/// The parameters of a query, each taken once.
#[derive(Debug)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query; of a name that comes twice the last one counts.
    pub(crate) fn read(query: Option<&str>) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let parts = query.unwrap_or_default().split('&');
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let both = decode(name).zip(decode(value));
            let (name, value) = both.ok_or_else(|| bad(name, "broken percent-encoding"))?;
            pairs.retain(|(known, _)| *known != name);
            if pairs.len() >= MOST {
                return Err(bad(&name, "there are too many parameters"));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// Takes a text.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(known, _)| known == name)?;
        Some(self.pairs.swap_remove(at).1)
    }

    /// Takes a value that is read from a text.
    pub(crate) fn value<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => read(&text).map(Some).ok_or_else(|| bad(name, expected)),
        }
    }

    /// Takes a duration.
    pub(crate) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, ApiError> {
        self.value(name, "expected a duration such as 30s", duration)
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.pairs.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(bad(&name, "there is no such parameter")),
        }
    }
}

/// Reads a duration such as `30s`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
    Duration::try_from(duration.ok()?).ok()
}

fn bad(name: &str, expected: &str) -> ApiError {
    ApiError::new(Fault::BadRequest, format!("parameter {name}: {expected}"))
}

/// Decodes percent signs, and plus signs, which stand for spaces.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = digit(rest.next()?)?;
                let low = digit(rest.next()?)?;
                (high << 4) | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_the_last_one_counts() {
        let mut query = Query::read(Some("model=a%2Fb%3Ac&x=1&&x=two+words")).unwrap();

        assert_eq!(query.text("model").as_deref(), Some("a/b:c"));
        assert_eq!(query.text("x").as_deref(), Some("two words"));
        assert!(query.finish().is_ok());
    }

    #[test]
    fn what_is_unknown_or_broken_is_named() {
        let unknown = Query::read(Some("fliter=1")).unwrap().finish().unwrap_err();
        let broken = Query::read(Some("model=%zz")).unwrap_err();
        let wrong = Query::read(Some("wait=soon"))
            .unwrap()
            .duration("wait")
            .unwrap_err();

        for (error, name) in [(unknown, "fliter"), (broken, "model"), (wrong, "wait")] {
            assert_eq!(error.status(), 400);
            assert!(error.message().contains(name), "{}", error.message());
        }
    }

    #[test]
    fn there_are_only_so_many_parameters() {
        let query = |count: usize| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>();

        assert!(Query::read(Some(&query(MOST).join("&"))).is_ok());
        let refused = Query::read(Some(&query(MOST + 1).join("&"))).unwrap_err();
        assert_eq!(refused.status(), 400);
        assert!(Query::read(Some(&"a&".repeat(MOST + 1))).is_ok());
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("1h30m"), Some(Duration::from_mins(90)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        assert_eq!(duration("-3s"), None);
        assert_eq!(duration("30"), None);
    }
}
