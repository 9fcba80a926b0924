//! Answers before they become HTTP: a status, a few headers, a payload.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use futures_util::Stream;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, HeaderName},
};

use crate::gojson::Obj;

/// Body chunks as they come.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// `application/json` as gin writes it.
pub(crate) const JSON: &str = "application/json; charset=utf-8";
/// `application/json` as the streaming and compatibility code writes it.
pub(crate) const JSON_BARE: &str = "application/json";
/// What streams of the native API are.
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// What streams of the compatibility APIs are.
pub(crate) const SSE: &str = "text/event-stream";

/// The body of an answer.
pub(crate) enum Payload {
    /// All at once: with a length up to 2048 bytes, else as one chunk.
    Whole(Bytes),
    /// All at once, but as one chunk, since it was flushed.
    Flushed(Bytes),
    /// Chunk by chunk.
    Chunks(Chunks),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Self::Flushed(bytes) => f.debug_tuple("Flushed").field(&bytes.len()).finish(),
            Self::Chunks(_) => f.write_str("Chunks"),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers, without length and date.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) payload: Payload,
}

impl Reply {
    /// An answer with a whole body; an empty `content_type` sets no header.
    pub(crate) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Self {
            status,
            headers,
            payload: Payload::Whole(body.into()),
        }
    }

    /// An empty answer.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::new(status, "", Bytes::new())
    }

    /// A JSON object with status 200.
    pub(crate) fn json(body: String) -> Self {
        Self::new(StatusCode::OK, JSON, body)
    }

    /// The error object of the native API.
    pub(crate) fn error(status: StatusCode, message: &str) -> Self {
        Self::new(status, JSON, Obj::new().str("error", message).end())
    }

    /// An error object with status 400.
    pub(crate) fn bad(message: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, message)
    }

    /// An error object with status 404.
    pub(crate) fn missing(message: &str) -> Self {
        Self::error(StatusCode::NOT_FOUND, message)
    }

    /// A stream with status 200.
    pub(crate) fn stream(content_type: &'static str, chunks: Chunks) -> Self {
        let reply = Self::new(StatusCode::OK, content_type, Bytes::new());
        Self {
            payload: Payload::Chunks(chunks),
            ..reply
        }
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}
