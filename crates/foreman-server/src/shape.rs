//! Error bodies and last lines, in the shape of the API that was called.

use std::time::Duration;

use bytes::Bytes;
use foreman_job::{JobFailure, JobId};
use foreman_ollama::Shape;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::error::ApiError;
use crate::fault::Fault;
use crate::json;
use crate::response::{Body, Response};

pub(crate) const JOB_ID: HeaderName = HeaderName::from_static("x-foreman-job-id");
pub(crate) const ATTEMPT: HeaderName = HeaderName::from_static("x-foreman-attempt");
pub(crate) const QUEUE_MS: HeaderName = HeaderName::from_static("x-foreman-queue-ms");
pub(crate) const ERROR_CODE: HeaderName = HeaderName::from_static("x-foreman-error-code");
pub(crate) const ERROR_SOURCE: HeaderName = HeaderName::from_static("x-foreman-error-source");

/// How the events of an answer are told apart, and so how its last line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// One JSON object a line.
    Json,
    /// Server-sent events of `OpenAI`'s chat and completion APIs.
    OpenAiEvents,
    /// Server-sent events of `OpenAI`'s Responses API.
    ResponsesEvents,
    /// Server-sent events of Anthropic's API.
    AnthropicEvents,
    /// One body in `OpenAI`'s shape.
    OpenAiBody,
    /// One body in Anthropic's shape.
    AnthropicBody,
}

/// Returns the shape of error bodies on a path.
pub(crate) fn of_path(path: &str) -> Shape {
    if path == "/v1/messages" || path.starts_with("/v1/messages/") {
        Shape::Anthropic
    } else if path.starts_with("/v1/") {
        Shape::OpenAi
    } else {
        Shape::Ollama
    }
}

impl ApiError {
    /// Makes the response.
    pub(crate) fn response(&self, shape: Shape) -> Response {
        let mut body = self.body(shape);
        if shape != Shape::Ollama {
            body.push('\n');
        }
        let mut response = Response::new(Body::full(body));
        *response.status_mut() = http::StatusCode::from_u16(self.status())
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        self.mark(response.headers_mut());
        response
    }

    /// Writes what programs want to know into the head of the response.
    fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(ERROR_CODE, HeaderValue::from_static(self.code()));
        let source = HeaderValue::from_static(self.source().as_str());
        headers.insert(ERROR_SOURCE, source);
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(job) = self.job() {
            headers.insert(JOB_ID, job_header(job));
        }
        if let Some(attempts) = self.attempts() {
            headers.insert(ATTEMPT, attempts.into());
        }
        if self.fault() == Fault::Unauthorized {
            let bearer = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        if matches!(self.fault(), Fault::BodyTooLarge | Fault::BodyTimeout) {
            let close = HeaderValue::from_static("close");
            headers.insert(header::CONNECTION, close);
        }
    }

    /// Returns the body.
    pub(crate) fn body(&self, shape: Shape) -> String {
        let message = json::string(&self.message());
        let code = self.code();
        let kind = self.kind(shape);
        match shape {
            Shape::Ollama => {
                let job = self
                    .job()
                    .map_or_else(String::new, |job| format!(r#","job":"{job}""#));
                let retry = self
                    .retry_after()
                    .map_or_else(String::new, |after| format!(r#","retry_after":{after}"#));
                format!(r#"{{"error":{message},"code":"{code}"{job}{retry}}}"#)
            }
            Shape::OpenAi => format!(
                r#"{{"error":{{"message":{message},"type":"{kind}","param":null,"code":"{code}"}}}}"#
            ),
            Shape::Anthropic => {
                format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}}}}"#)
            }
        }
    }

    /// Returns the last line of an answer that broke off.
    pub(crate) fn last_line(&self, lines: Lines, events: usize) -> String {
        let body = |shape| self.body(shape);
        match lines {
            Lines::Json => format!("{{\"error\":{}}}\n", json::string(&self.message())),
            Lines::OpenAiEvents => format!("data: {}\n\n", body(Shape::OpenAi)),
            Lines::AnthropicEvents => format!("event: error\ndata: {}\n\n", body(Shape::Anthropic)),
            Lines::OpenAiBody => format!("{}\n", body(Shape::OpenAi)),
            Lines::AnthropicBody => format!("{}\n", body(Shape::Anthropic)),
            Lines::ResponsesEvents => {
                let message = json::string(&self.message());
                let code = self.code();
                format!(
                    "event: error\ndata: {{\"type\":\"error\",\"code\":\"{code}\",\
                     \"message\":{message},\"param\":null,\"sequence_number\":{events}}}\n\n"
                )
            }
        }
    }

    fn kind(&self, shape: Shape) -> &'static str {
        let anthropic = shape == Shape::Anthropic;
        match self.status() {
            401 => "authentication_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            413 if anthropic => "request_too_large",
            503 if anthropic => "overloaded_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }
}

impl Lines {
    /// Finds how the answer of a route is written.
    pub(crate) fn of(path: &str, content_type: Option<&str>) -> Self {
        let events = content_type.is_some_and(|kind| kind.starts_with("text/event-stream"));
        match (of_path(path), events) {
            (Shape::Ollama, _) => Self::Json,
            (Shape::OpenAi, true) if path == "/v1/responses" => Self::ResponsesEvents,
            (Shape::OpenAi, true) => Self::OpenAiEvents,
            (Shape::OpenAi, false) => Self::OpenAiBody,
            (Shape::Anthropic, true) => Self::AnthropicEvents,
            (Shape::Anthropic, false) => Self::AnthropicBody,
        }
    }

    /// Returns the last line of an answer whose head was sent before the target refused.
    pub(crate) fn refused(self, body: &[u8]) -> Bytes {
        let body = String::from_utf8_lossy(body.trim_ascii()).into_owned();
        Bytes::from(match self {
            Self::Json | Self::OpenAiBody | Self::AnthropicBody => format!("{body}\n"),
            Self::OpenAiEvents => format!("data: {body}\n\n"),
            Self::ResponsesEvents | Self::AnthropicEvents => {
                format!("event: error\ndata: {body}\n\n")
            }
        })
    }

    /// Returns what must stand between an answer that ends so and another line.
    pub(crate) fn separator(self, end: &[u8]) -> &'static str {
        match self {
            Self::Json | Self::OpenAiBody | Self::AnthropicBody => {
                if end.is_empty() || end.ends_with(b"\n") {
                    ""
                } else {
                    "\n"
                }
            }
            Self::OpenAiEvents | Self::ResponsesEvents | Self::AnthropicEvents => {
                if end.is_empty() || end.ends_with(b"\n\n") || end.ends_with(b"\r\n\r\n") {
                    ""
                } else if end.ends_with(b"\n") {
                    "\n"
                } else {
                    "\n\n"
                }
            }
        }
    }
}

/// Tells whether a body of this type has one JSON value a line.
pub(crate) fn is_lines(content_type: &str) -> bool {
    content_type.starts_with("application/x-ndjson")
}

/// Tells whether an answer of this type comes in chunks that must stay what they are.
pub(crate) fn is_stream(content_type: &str) -> bool {
    is_lines(content_type) || content_type.starts_with("text/event-stream")
}

/// Returns the number of the attempt that gave an answer, after so many that failed.
pub(crate) fn attempt(failed: u32) -> HeaderValue {
    failed.saturating_add(1).into()
}

/// Returns a span of time in whole milliseconds.
pub(crate) fn millis(span: Duration) -> HeaderValue {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).into()
}

/// Tells in the head of an answer that it is a failure, and whose.
pub(crate) fn mark_failure(headers: &mut HeaderMap, failure: &JobFailure) {
    let code = HeaderValue::from_static(failure.kind.code());
    headers.insert(ERROR_CODE, code);
    let source = HeaderValue::from_static(failure.kind.source().as_str());
    headers.insert(ERROR_SOURCE, source);
}

/// Returns the value of the header that names a job.
pub(crate) fn job_header(job: JobId) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(job.to_string()))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use foreman_job::{FailureKind, JobFailure};
    use foreman_scheduler::Ending;
    use rstest::rstest;

    use super::*;

    fn error() -> ApiError {
        let failure = JobFailure::new(FailureKind::Stalled, "the answer \"stopped\"");
        let job = "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC".parse().unwrap();
        ApiError::ended(&Ending::Failed(failure), job, 0)
    }

    #[rstest]
    #[case(
        "/api/chat",
        r#"{"error":"the answer \"stopped\"","code":"stalled","job":"01J9Z3N6T5Q8W0V2X4Y6Z8A0BC"}"#
    )]
    #[case("/v1/responses", r#"{"error":{"message":"the answer \"stopped\"","type":"api_error","param":null,"code":"stalled"}}"#)]
    #[case(
        "/v1/messages",
        r#"{"type":"error","error":{"type":"api_error","message":"the answer \"stopped\""}}"#
    )]
    fn an_error_has_the_shape_of_its_api(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(error().body(of_path(path)), expected);
    }

    #[rstest]
    #[case(
        "/api/chat",
        "application/x-ndjson",
        "{\"error\":\"the answer \\\"stopped\\\"\"}\n"
    )]
    #[case(
        "/v1/chat/completions",
        "text/event-stream",
        "data: {\"error\":{\"message\":\"the answer \\\"stopped\\\"\",\"type\":\"api_error\",\"param\":null,\"code\":\"stalled\"}}\n\n"
    )]
    #[case(
        "/v1/responses",
        "text/event-stream",
        "event: error\ndata: {\"type\":\"error\",\"code\":\"stalled\",\"message\":\"the answer \\\"stopped\\\"\",\"param\":null,\"sequence_number\":4}\n\n"
    )]
    #[case(
        "/v1/messages",
        "text/event-stream",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"the answer \\\"stopped\\\"\"}}\n\n"
    )]
    #[case(
        "/v1/messages",
        "application/json",
        "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"the answer \\\"stopped\\\"\"}}\n"
    )]
    fn an_answer_that_breaks_off_ends_with_a_line_of_its_api(
        #[case] path: &str,
        #[case] content_type: &str,
        #[case] expected: &str,
    ) {
        let lines = Lines::of(path, Some(content_type));

        assert_eq!(error().last_line(lines, 4), expected);
    }

    #[rstest]
    #[case(Lines::Json, b"{}\n", "")]
    #[case(Lines::Json, b"{\"a", "\n")]
    #[case(Lines::OpenAiEvents, b"data: {}\n\n", "")]
    #[case(Lines::OpenAiEvents, b"data: {}\n", "\n")]
    #[case(Lines::AnthropicEvents, b"data: {", "\n\n")]
    fn a_last_line_never_joins_an_unfinished_one(
        #[case] lines: Lines,
        #[case] end: &[u8],
        #[case] expected: &str,
    ) {
        assert_eq!(lines.separator(end), expected);
    }

    #[test]
    fn who_has_no_token_is_told_how_to_show_one() {
        let response = ApiError::new(Fault::Unauthorized, "no").response(Shape::Ollama);

        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
}
