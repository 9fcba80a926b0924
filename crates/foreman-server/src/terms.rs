//! What callers ask for in headers of their own.

use std::time::Duration;

use foreman_job::Priority;
use http::HeaderMap;
use jiff::{Span, SpanRelativeTo};

use crate::auth::Caller;
use crate::error::ApiError;
use crate::fault::Fault;

const MAX_KEY: usize = 255;

/// The terms under which a job is submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) priority: Priority,
    /// The job is finished although its caller hangs up.
    pub(crate) keep: bool,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) idempotency_key: Option<String>,
    /// The caller wants to know the job, not to wait for it.
    pub(crate) respond_async: bool,
    /// The caller wants a sign of life this often.
    pub(crate) heartbeat: Option<Duration>,
}

impl Terms {
    /// Reads the terms from the headers of a request.
    pub(crate) fn read(headers: &HeaderMap, caller: &Caller) -> Result<Self, ApiError> {
        let priority = match text(headers, "x-foreman-priority")? {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| bad("x-foreman-priority", "expected high, normal or low"))?,
            ),
        };
        Ok(Self {
            priority: caller.priority(priority),
            keep: flag(headers, "x-foreman-keep")?,
            expires_in: duration(headers, "x-foreman-expires-in", Duration::from_millis(1))?,
            idempotency_key: key(headers)?,
            respond_async: prefers_async(headers),
            heartbeat: duration(headers, "x-foreman-heartbeat", Duration::from_secs(1))?,
        })
    }

    /// Tells whether the job outlives its caller.
    pub(crate) const fn outlives_caller(&self) -> bool {
        self.keep || self.respond_async || self.idempotency_key.is_some()
    }
}

fn prefers_async(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}

fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = text(headers, "idempotency-key")? else {
        return Ok(None);
    };
    let printable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if key.is_empty() || key.len() > MAX_KEY || !printable {
        return Err(bad(
            "idempotency-key",
            "expected 1 to 255 printable characters",
        ));
    }
    Ok(Some(key.to_owned()))
}

fn flag(headers: &HeaderMap, name: &'static str) -> Result<bool, ApiError> {
    match text(headers, name)? {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(bad(name, "expected true or false")),
    }
}

fn duration(
    headers: &HeaderMap,
    name: &'static str,
    least: Duration,
) -> Result<Option<Duration>, ApiError> {
    let Some(text) = text(headers, name)? else {
        return Ok(None);
    };
    let parsed = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| *duration >= least);
    match parsed {
        Some(duration) => Ok(Some(duration)),
        None => Err(bad(name, "expected a duration such as 10m")),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    headers
        .get(name)
        .map(|value| value.to_str().map(str::trim))
        .transpose()
        .map_err(|_| bad(name, "expected plain text"))
}

fn bad(name: &'static str, expected: &'static str) -> ApiError {
    ApiError::new(Fault::BadHeader, format!("header {name}: {expected}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;
    use crate::auth::Auth;

    fn caller() -> Caller {
        Auth::new(Vec::new(), 9).anonymous(Priority::High)
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn read(name: &'static str, value: &str) -> Result<Terms, ApiError> {
        Terms::read(&headers(name, value), &caller())
    }

    #[test]
    fn without_headers_a_job_is_normal_and_ends_with_its_caller() {
        let terms = Terms::read(&HeaderMap::new(), &caller()).unwrap();

        assert_eq!(terms.priority, Priority::Normal);
        assert!(!terms.outlives_caller());
        assert_eq!((terms.expires_in, terms.heartbeat), (None, None));
    }

    #[test]
    fn what_is_asked_for_is_read() {
        let read = |name, value| read(name, value).unwrap();

        assert_eq!(read("x-foreman-priority", "high").priority, Priority::High);
        assert!(read("x-foreman-keep", "True").outlives_caller());
        assert!(read("idempotency-key", "k 1").outlives_caller());
        assert!(read("prefer", "wait=5, respond-async").respond_async);
        assert_eq!(
            read("x-foreman-expires-in", "1h30m").expires_in,
            Some(Duration::from_mins(90))
        );
        assert_eq!(
            read("x-foreman-expires-in", "2d").expires_in,
            Some(Duration::from_hours(48))
        );
    }

    #[rstest]
    #[case("x-foreman-priority", "urgent")]
    #[case("x-foreman-keep", "yes")]
    #[case("x-foreman-expires-in", "soon")]
    #[case("x-foreman-expires-in", "-5m")]
    #[case("x-foreman-expires-in", "0s")]
    #[case("x-foreman-heartbeat", "10ms")]
    #[case("idempotency-key", "")]
    #[case("idempotency-key", "tab\there")]
    fn a_bad_header_is_named(#[case] name: &'static str, #[case] value: &str) {
        let error = read(name, value).unwrap_err();

        assert_eq!(error.status(), 400);
        assert!(error.message().contains(name));
    }

    #[test]
    fn a_key_has_an_upper_limit() {
        assert!(read("idempotency-key", &"k".repeat(255)).is_ok());
        assert!(read("idempotency-key", &"k".repeat(256)).is_err());
    }
}
