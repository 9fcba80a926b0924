//! What is submitted: an object with a request and the terms for it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foreman_job::{Endpoint, JobId, Priority, Timestamp};
use foreman_ollama::forwardable_headers;
use foreman_scheduler::to_stored;
use foreman_store::{Headers, IdempotencyKey};
use http::HeaderMap;
use http::header::{self, HeaderValue};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::fault::Fault;
use crate::query;

const MAX_METADATA: usize = 16 * 1024;

/// The fields of a submission.
const FIELDS: [&str; 6] = [
    "endpoint",
    "request",
    "priority",
    "not_before",
    "expires_in",
    "metadata",
];

/// A request that is to become a job, and the terms for it.
#[derive(Debug)]
pub(super) struct Submission {
    /// More waiting jobs of its caller than this are refused.
    pub(super) max_queued: Option<u64>,
    pub(super) inner: Inner,
    pub(super) priority: Priority,
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires_in: Option<Duration>,
    pub(super) metadata: Option<String>,
    pub(super) retry_of: Option<JobId>,
    pub(super) idempotency: Option<IdempotencyKey>,
}

/// The request itself.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) endpoint: Endpoint,
    pub(super) sender: Sender,
    pub(super) body: Bytes,
}

/// What requests say of themselves beside their bodies; the same for many at once.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) headers: Arc<HeaderMap>,
    /// Those of them that are forwarded.
    pub(super) stored: Headers,
}

/// What was said of a job, as it was said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) endpoint: Endpoint,
    pub(super) priority: Option<Priority>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires_in: Option<Duration>,
    pub(super) metadata: Option<String>,
    pub(super) request: Bytes,
}

/// The fields of a submission, each as it was written, and the first one that is none.
#[derive(Debug, Default)]
struct Fields<'a> {
    given: BTreeMap<&'static str, &'a RawValue>,
    unknown: Option<String>,
}

impl Said {
    /// Reads a submission. Its request stays byte for byte as it is, and where it is.
    pub(super) fn read(json: &Bytes) -> Result<Self, ApiError> {
        // The reader's own words may quote what it read.
        let fields: Fields<'_> = serde_json::from_slice(json)
            .map_err(|_| refused("expected a JSON object with endpoint and request"))?;
        if let Some(unknown) = &fields.unknown {
            return Err(refused(format!("field {unknown}: there is no such field")));
        }
        let endpoint = text(&fields, "endpoint")?.ok_or_else(|| missing("endpoint"))?;
        let endpoint: Endpoint = endpoint
            .parse()
            .map_err(|_| wrong("endpoint", "expected a route such as /api/chat"))?;
        let request = fields.given.get("request");
        let request = request.ok_or_else(|| missing("request"))?;
        if !request.get().starts_with('{') {
            return Err(wrong("request", "expected an object"));
        }
        Ok(Self {
            endpoint,
            priority: parsed(&fields, "priority", "expected high, normal or low", |it| {
                it.parse().ok()
            })?,
            not_before: parsed(
                &fields,
                "not_before",
                "expected a time such as 2030-01-31T22:00:00Z",
                time,
            )?,
            expires_in: parsed(
                &fields,
                "expires_in",
                "expected a duration such as 10m",
                |it| query::duration(it).filter(|duration| !duration.is_zero()),
            )?,
            metadata: metadata(&fields)?,
            request: json.slice_ref(request.get().as_bytes()),
        })
    }
}

impl Sender {
    /// Takes the headers of a request as it came.
    pub(super) fn new(headers: HeaderMap) -> Self {
        Self {
            stored: to_stored(forwardable_headers(&headers)),
            headers: Arc::new(headers),
        }
    }

    /// Makes the headers that the endpoint would have got, with what the submission's own request
    /// says of its sender.
    pub(super) fn of(submission: &HeaderMap) -> Self {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        for name in ["user-agent", "traceparent", "tracestate"] {
            if let Some(value) = submission.get(name) {
                headers.insert(name, value.clone());
            }
        }
        Self::new(headers)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Keeps nothing of what is unknown but the first name, so that no number of them takes memory.
struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if let Some(known) = FIELDS.iter().find(|known| **known == name) {
                fields.given.insert(known, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                let shown = || name.chars().take(64).collect();
                fields.unknown.get_or_insert_with(shown);
            }
        }
        Ok(fields)
    }
}

fn metadata(fields: &Fields<'_>) -> Result<Option<String>, ApiError> {
    let Some(metadata) = given(fields, "metadata") else {
        return Ok(None);
    };
    let text = metadata.get();
    if !text.starts_with('{') {
        return Err(wrong("metadata", "expected an object"));
    }
    if text.len() > MAX_METADATA {
        return Err(wrong("metadata", "expected at most 16 KiB"));
    }
    // Between values a line break is as good as a space, and it would break lines of JSON.
    Ok(Some(text.replace(['\n', '\r'], " ")))
}

fn parsed<T>(
    fields: &Fields<'_>,
    name: &'static str,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    match text(fields, name)? {
        None => Ok(None),
        Some(text) => read(&text).map(Some).ok_or_else(|| wrong(name, expected)),
    }
}

fn text(fields: &Fields<'_>, name: &'static str) -> Result<Option<String>, ApiError> {
    let Some(value) = given(fields, name) else {
        return Ok(None);
    };
    serde_json::from_str(value.get())
        .map(Some)
        .map_err(|_| wrong(name, "expected a string"))
}

/// Returns a field that is there and says something.
fn given<'a>(fields: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let value = fields.given.get(name).copied();
    value.filter(|value| value.get() != "null")
}

fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

fn missing(name: &'static str) -> ApiError {
    wrong(name, "it is missing")
}

fn wrong(name: &'static str, expected: &'static str) -> ApiError {
    refused(format!("field {name}: {expected}"))
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::new(Fault::BadRequest, message.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(json: &[u8]) -> Result<Said, ApiError> {
        Said::read(&Bytes::copy_from_slice(json))
    }

    #[test]
    fn of_a_field_that_comes_twice_the_last_counts_and_deep_ones_are_kept_as_they_are() {
        let deep = format!("{{\"k\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
        let json = format!(
            r#"{{"endpoint":"/api/chat","request":{{"a":1}},"request":{deep},"metadata":{deep}}}"#
        );

        let said = read(json.as_bytes()).unwrap();

        assert_eq!(said.request, deep);
        assert_eq!(said.metadata, Some(deep));
    }

    #[test]
    fn all_that_is_said_is_read_and_the_request_stays_as_it_is() {
        let said = read(
            br#" {"request": {"model" : "a",  "b":1.0 }, "endpoint":"/api/chat", "priority":"high",
                "not_before":"2030-01-31T22:00:00Z", "expires_in":"1h30m", "metadata":{"k": [1]}} "#,
        )
        .unwrap();

        assert_eq!(said.endpoint, Endpoint::Chat);
        assert_eq!(said.request, r#"{"model" : "a",  "b":1.0 }"#);
        assert_eq!(said.priority, Some(Priority::High));
        assert_eq!(
            said.not_before.map(|it| it.to_string()).as_deref(),
            Some("2030-01-31T22:00:00.000Z")
        );
        assert_eq!(said.expires_in, Some(Duration::from_mins(90)));
        assert_eq!(said.metadata.as_deref(), Some(r#"{"k": [1]}"#));
    }

    #[test]
    fn what_is_null_or_left_out_is_not_said() {
        let said =
            read(br#"{"endpoint":"/api/generate","request":{},"priority":null,"metadata":null}"#)
                .unwrap();

        assert_eq!((said.priority, said.metadata), (None, None));
        assert_eq!((said.not_before, said.expires_in), (None, None));
    }

    #[rstest]
    #[case(r#"{"request":{}}"#, "endpoint")]
    #[case(r#"{"endpoint":"/api/tags","request":{}}"#, "endpoint")]
    #[case(r#"{"endpoint":7,"request":{}}"#, "endpoint")]
    #[case(r#"{"endpoint":"/api/chat"}"#, "request")]
    #[case(r#"{"endpoint":"/api/chat","request":"secret"}"#, "request")]
    #[case(
        r#"{"endpoint":"/api/chat","request":{},"priority":"urgent"}"#,
        "priority"
    )]
    #[case(
        r#"{"endpoint":"/api/chat","request":{},"not_before":"noon"}"#,
        "not_before"
    )]
    #[case(
        r#"{"endpoint":"/api/chat","request":{},"expires_in":"0s"}"#,
        "expires_in"
    )]
    #[case(r#"{"endpoint":"/api/chat","request":{},"metadata":[]}"#, "metadata")]
    #[case(r#"{"endpoint":"/api/chat","request":{},"prority":"low"}"#, "prority")]
    #[case(r#""secret""#, "object")]
    #[case(r#"{"endpoint":"#, "object")]
    fn what_is_wrong_is_named_and_not_quoted(#[case] json: &str, #[case] name: &str) {
        let error = read(json.as_bytes()).unwrap_err();

        assert_eq!(error.status(), 400);
        assert!(error.message().contains(name), "{}", error.message());
        assert!(!error.message().contains("secret"));
    }

    #[test]
    fn metadata_has_an_upper_limit() {
        let said = |size: usize| {
            let text = "x".repeat(size);
            let json =
                format!(r#"{{"endpoint":"/api/chat","request":{{}},"metadata":{{"k":"{text}"}}}}"#);
            read(json.as_bytes()).is_ok()
        };

        assert!(said(MAX_METADATA - 8));
        assert!(!said(MAX_METADATA - 7));
    }
}
