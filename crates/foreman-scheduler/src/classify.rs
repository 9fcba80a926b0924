//! Which class of failure a signal from the target is.

use std::time::Duration;

use foreman_job::{FailureKind, JobFailure};
use foreman_ollama::{ErrorKind, TargetError};
use http::{HeaderMap, StatusCode, header};

/// Texts of 500s that depend on the request alone, and come again however often it is sent.
const DETERMINISTIC: [&str; 4] = [
    "option \\\"",
    "invalid format",
    "template:",
    "invalid options",
];

/// Texts of error lines and 500s that say that the target, not the request, was the trouble.
const PASSING: [&str; 6] = [
    "server busy",
    "overloaded",
    "has terminated",
    "has unexpectedly stopped",
    "unexpected EOF",
    "timed out waiting",
];

/// Classes an exchange that gave no answer, or broke off.
pub(crate) fn exchange(error: &TargetError) -> JobFailure {
    let kind = match error.kind() {
        ErrorKind::Refused | ErrorKind::Unreachable | ErrorKind::ConnectTimeout => {
            FailureKind::TargetUnreachable
        }
        ErrorKind::Tls => FailureKind::TargetTls,
        ErrorKind::ClosedBeforeHead => FailureKind::ClosedBeforeHead,
        ErrorKind::FirstByteTimeout => FailureKind::FirstByteTimeout,
        ErrorKind::IdleTimeout => FailureKind::Stalled,
        ErrorKind::Truncated => FailureKind::Truncated,
        ErrorKind::InvalidResponse => FailureKind::BadResponse,
        // A stored body is sent from memory and cannot fail at its source.
        ErrorKind::RequestBody => FailureKind::Panic,
    };
    JobFailure::new(kind, chain(error))
}

/// Classes an answer whose status is no success.
pub(crate) fn status(status: StatusCode, body: &[u8]) -> FailureKind {
    match status.as_u16() {
        408 | 425 | 502 | 504 => FailureKind::TargetTransient,
        429 | 503 => FailureKind::TargetBusy,
        500 if contains_any(body, &DETERMINISTIC) => FailureKind::TargetRejected,
        500 => FailureKind::TargetError,
        _ => FailureKind::TargetRejected,
    }
}

/// Classes an error that the target sent in place of an answer, with status 200.
pub(crate) fn error_line(message: &str) -> FailureKind {
    if contains_any(message.as_bytes(), &PASSING) {
        FailureKind::TargetError
    } else {
        FailureKind::TargetRejected
    }
}

/// Reads `Retry-After`: seconds, or a date. A date is meant by the clock of the one who says it, so
/// it counts from the `Date` of the same answer. Anything else gives none.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let after = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(after).ok()?;
    let now = httpdate::parse_http_date(text(header::DATE)?).ok()?;
    until.duration_since(now).ok()
}

fn contains_any(text: &[u8], parts: &[&str]) -> bool {
    parts.iter().any(|part| {
        text.windows(part.len())
            .any(|window| window == part.as_bytes())
    })
}

/// Writes an error with its causes in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_all_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("target cannot be reached")]
        struct Outer(#[source] std::io::Error);

        let error = Outer(std::io::Error::other("no route"));

        assert_eq!(chain(&error), "target cannot be reached: no route");
    }

    #[test]
    fn statuses_are_classed_by_what_they_mean_for_a_repetition() {
        let table: [(u16, &str, FailureKind); 12] = [
            (400, r#"{"error":"bad"}"#, FailureKind::TargetRejected),
            (401, "", FailureKind::TargetRejected),
            (
                404,
                r#"{"error":"model 'x' not found"}"#,
                FailureKind::TargetRejected,
            ),
            (408, "", FailureKind::TargetTransient),
            (429, "", FailureKind::TargetBusy),
            (
                500,
                r#"{"error":"option \"num_ctx\" must be of type integer"}"#,
                FailureKind::TargetRejected,
            ),
            (
                500,
                r#"{"error":"invalid format: \"xml\""}"#,
                FailureKind::TargetRejected,
            ),
            (
                500,
                r#"{"error":"llama-server process has terminated: exit status 2"}"#,
                FailureKind::TargetError,
            ),
            (500, r#"{"error":"boom"}"#, FailureKind::TargetError),
            (502, "", FailureKind::TargetTransient),
            (
                503,
                r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#,
                FailureKind::TargetBusy,
            ),
            (301, "", FailureKind::TargetRejected),
        ];
        for (code, body, kind) in table {
            let status_code = StatusCode::from_u16(code).unwrap();
            assert_eq!(status(status_code, body.as_bytes()), kind, "{code} {body}");
        }
    }

    #[test]
    fn an_error_line_is_final_unless_it_blames_the_target() {
        assert_eq!(
            error_line("this model cannot do that"),
            FailureKind::TargetRejected
        );
        assert_eq!(
            error_line("an error was encountered while running the model: unexpected EOF"),
            FailureKind::TargetError
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_targets_own_clock() {
        let parse = |after: &'static str, date: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            let value = http::HeaderValue::from_static;
            headers.insert(header::RETRY_AFTER, value(after));
            headers.extend(date.map(|date| (header::DATE, value(date))));
            retry_after(&headers)
        };
        let now = Some("Wed, 21 Oct 2026 07:28:00 GMT");

        assert_eq!(parse("2", now), Some(Duration::from_secs(2)));
        assert_eq!(parse("99999", None), Some(Duration::from_secs(99_999)));
        assert_eq!(parse("-1", now), None);
        assert_eq!(parse("soon", now), None);
        let later = "Wed, 21 Oct 2026 07:28:30 GMT";
        assert_eq!(parse(later, now), Some(Duration::from_secs(30)));
        assert_eq!(parse("Wed, 21 Oct 2015 07:28:00 GMT", now), None);
        assert_eq!(parse(later, None), None);
        assert_eq!(parse(later, Some("today")), None);
    }
}
