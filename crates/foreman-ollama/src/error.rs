//! What can go wrong between this machine and the target.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::url::TargetUrlError;

/// Why an exchange with the target did not work.
///
/// The message says what was being done and which kind of failure it met; the cause is in the
/// source chain. It never holds a header, a prompt or an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}: {kind}")]
pub struct TargetError {
    kind: ErrorKind,
    doing: Arc<str>,
    #[source]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TargetError {
    /// Makes an error from its kind and the thing that was being done.
    pub fn new(kind: ErrorKind, doing: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            doing: doing.into(),
            source: None,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Tells whether the failure is one of the connection rather than of an answer.
    pub fn is_connection_failure(&self) -> bool {
        self.kind.is_connection_failure()
    }
}

/// The kinds of failure that callers treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The target's machine is there, and nothing listens.
    Refused,
    /// No route, or the name does not resolve.
    Unreachable,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// The TLS handshake did not work.
    Tls,
    /// The connection was reset or closed before a response head came.
    ClosedBeforeHead,
    /// The target took the request and sent nothing in time.
    FirstByteTimeout,
    /// The target stopped sending in the middle of an answer.
    IdleTimeout,
    /// The connection was reset or closed inside a body.
    Truncated,
    /// What came is not HTTP, or not what was asked for.
    InvalidResponse,
    /// The streamed body of the request failed at its source.
    RequestBody,
}

impl ErrorKind {
    /// Tells whether no part of an answer can have been produced for the caller.
    pub fn is_connection_failure(self) -> bool {
        match self {
            Self::Refused
            | Self::Unreachable
            | Self::ConnectTimeout
            | Self::Tls
            | Self::ClosedBeforeHead => true,
            Self::FirstByteTimeout
            | Self::IdleTimeout
            | Self::Truncated
            | Self::InvalidResponse
            | Self::RequestBody => false,
        }
    }

    /// Returns a stable lower-case word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::ClosedBeforeHead => "closed_before_head",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::Truncated => "truncated",
            Self::InvalidResponse => "invalid_response",
            Self::RequestBody => "request_body",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Unreachable => "target is unreachable",
            Self::ConnectTimeout => "no connection in time",
            Self::Tls => "tls handshake does not succeed",
            Self::ClosedBeforeHead => "connection closed before an answer",
            Self::FirstByteTimeout => "no answer in time",
            Self::IdleTimeout => "the answer stopped coming",
            Self::Truncated => "connection closed inside the answer",
            Self::InvalidResponse => "the answer is not valid",
            Self::RequestBody => "the body of the request ended early",
        })
    }
}

/// Why a client cannot be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The address of the target is no usable address.
    #[error("target address is not usable")]
    Url(#[from] TargetUrlError),
    /// The token has characters that no header can carry.
    #[error("target token holds characters that a header cannot carry")]
    Token,
    /// The TLS library does not accept its own settings.
    #[error("tls cannot be set up")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_deed_and_the_kind_and_leaves_the_cause_to_the_chain() {
        let error = TargetError::new(ErrorKind::Refused, "GET /api/tags")
            .with_source(std::io::Error::other("cause"));

        assert_eq!(error.to_string(), "GET /api/tags: connection refused");
        assert_eq!(error.source().unwrap().to_string(), "cause");
    }

    #[test]
    fn only_failures_before_an_answer_are_connection_failures() {
        let connection = [
            ErrorKind::Refused,
            ErrorKind::Unreachable,
            ErrorKind::ConnectTimeout,
            ErrorKind::Tls,
            ErrorKind::ClosedBeforeHead,
        ];
        let other = [
            ErrorKind::FirstByteTimeout,
            ErrorKind::IdleTimeout,
            ErrorKind::Truncated,
            ErrorKind::InvalidResponse,
            ErrorKind::RequestBody,
        ];

        assert!(connection.iter().all(|kind| kind.is_connection_failure()));
        assert!(!other.iter().any(|kind| kind.is_connection_failure()));
    }
}
