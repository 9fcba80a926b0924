//! The seam to the target: what is asked, what comes back, and who asks.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::combinators::BoxBody;

use crate::config::Deadlines;
use crate::error::{ErrorKind, TargetError};
use crate::residency::{self, ResidentModel};
use crate::stream::TargetStream;

/// Largest body that is read whole for an [`Answer`].
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Any error of a streamed request body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// One Ollama server, as seen by those who send it requests.
///
/// [`forward`](Self::forward) is the only method that an implementation must have.
#[async_trait]
pub trait OllamaClient: Send + Sync + fmt::Debug {
    /// Sends one request and returns its answer once the head is there.
    ///
    /// # Errors
    ///
    /// Any status of the target is an answer; an error means that none came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the response before its body ended, closes the connection: the
    /// target sees that its peer left and stops working.
    async fn forward(&self, request: TargetRequest) -> Result<TargetResponse, TargetError>;

    /// Returns the deadlines that the provided methods use.
    fn deadlines(&self) -> Deadlines {
        Deadlines::UNLIMITED
    }

    /// Sends a body to `/api/chat`.
    async fn chat(&self, body: Bytes) -> Result<TargetResponse, TargetError> {
        self.forward(TargetRequest::post("/api/chat", body, self.deadlines()))
            .await
    }

    /// Sends a body to `/api/embed`.
    async fn embed(&self, body: Bytes) -> Result<TargetResponse, TargetError> {
        self.forward(TargetRequest::post("/api/embed", body, self.deadlines()))
            .await
    }

    /// Sends a body to `/api/embeddings`.
    async fn embeddings(&self, body: Bytes) -> Result<TargetResponse, TargetError> {
        let request = TargetRequest::post("/api/embeddings", body, self.deadlines());
        self.forward(request).await
    }

    /// Fetches the list of installed models.
    async fn tags(&self) -> Result<Answer, TargetError> {
        self.fetch("/api/tags").await
    }

    /// Fetches the target's version.
    async fn version(&self) -> Result<Answer, TargetError> {
        self.fetch("/api/version").await
    }

    /// Fetches the list of installed models in `OpenAI`'s shape.
    async fn v1_models(&self) -> Result<Answer, TargetError> {
        self.fetch("/v1/models").await
    }

    /// Fetches the models that are loaded now.
    async fn ps(&self) -> Result<Vec<ResidentModel>, TargetError> {
        let answer = self.fetch("/api/ps").await?;
        if answer.status != StatusCode::OK {
            return Err(unexpected_status("GET /api/ps", answer.status));
        }
        residency::parse(&answer.body).map_err(|error| {
            TargetError::new(ErrorKind::InvalidResponse, "GET /api/ps").with_source(error)
        })
    }

    /// Fetches a small answer whole, whatever its status.
    async fn fetch(&self, path: &str) -> Result<Answer, TargetError> {
        let response = self
            .forward(TargetRequest::get(path, self.deadlines()))
            .await?;
        Ok(Answer {
            status: response.status,
            headers: response.headers,
            body: response.body.collect(ANSWER_LIMIT).await?,
        })
    }
}

/// Makes the error for an answer whose status is not the expected one.
pub(crate) fn unexpected_status(doing: &'static str, status: StatusCode) -> TargetError {
    TargetError::new(ErrorKind::InvalidResponse, doing)
        .with_source(format!("status {}", status.as_u16()))
}

/// One request to the target.
#[derive(Debug)]
pub struct TargetRequest {
    /// The method.
    pub method: Method,
    /// Path and query, without the target's path prefix.
    pub path_and_query: String,
    /// The caller's headers; those that must not be forwarded are left out on the way.
    pub headers: HeaderMap,
    /// The body.
    pub body: TargetBody,
    /// How long to wait.
    pub deadlines: Deadlines,
}

impl TargetRequest {
    /// Makes a request without body.
    pub fn get(path_and_query: &str, deadlines: Deadlines) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            method: Method::GET,
            path_and_query: path_and_query.to_owned(),
            headers,
            body: TargetBody::Empty,
            deadlines,
        }
    }

    /// Makes a request with a JSON body.
    pub fn post(path_and_query: &str, body: Bytes, deadlines: Deadlines) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self {
            method: Method::POST,
            path_and_query: path_and_query.to_owned(),
            headers,
            body: TargetBody::Full(body),
            deadlines,
        }
    }
}

/// The body of a request.
pub enum TargetBody {
    /// None.
    Empty,
    /// All of it; can be sent again.
    Full(Bytes),
    /// Comes while it is sent; can be sent once.
    Stream {
        /// The source.
        body: BoxBody<Bytes, BoxError>,
        /// Its length, if known.
        length: Option<u64>,
    },
}

impl fmt::Debug for TargetBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A body is a prompt: only its size is shown.
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream { body: _, length } => write!(f, "Stream({length:?} bytes)"),
        }
    }
}

/// The head of an answer and its body, which is still coming.
#[derive(Debug)]
pub struct TargetResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers, without hop-by-hop ones.
    pub headers: HeaderMap,
    /// The body.
    pub body: TargetStream,
}

/// A small answer, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, without hop-by-hop ones.
    pub headers: HeaderMap,
    /// The body, as the target sent it.
    pub body: Bytes,
}
