//! The target's routes whose requests become jobs.

use std::fmt;
use std::str::FromStr;

/// A route of the target whose requests become jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// `/api/chat`
    Chat,
    /// `/api/generate`
    Generate,
    /// `/v1/chat/completions`
    V1ChatCompletions,
    /// `/v1/completions`
    V1Completions,
    /// `/v1/responses`
    V1Responses,
    /// `/v1/messages`
    V1Messages,
    /// `/v1/audio/transcriptions`
    V1AudioTranscriptions,
}

/// A path that is none of the queued routes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown endpoint: not one of the queued routes")]
pub struct UnknownEndpoint;

impl Endpoint {
    /// All queued routes.
    pub const ALL: [Self; 7] = [
        Self::Chat,
        Self::Generate,
        Self::V1ChatCompletions,
        Self::V1Completions,
        Self::V1Responses,
        Self::V1Messages,
        Self::V1AudioTranscriptions,
    ];

    /// Returns the path at the target, which is also foreman's own.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/api/chat",
            Self::Generate => "/api/generate",
            Self::V1ChatCompletions => "/v1/chat/completions",
            Self::V1Completions => "/v1/completions",
            Self::V1Responses => "/v1/responses",
            Self::V1Messages => "/v1/messages",
            Self::V1AudioTranscriptions => "/v1/audio/transcriptions",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;

    fn from_str(path: &str) -> Result<Self, UnknownEndpoint> {
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.path() == path)
            .ok_or(UnknownEndpoint)
    }
}

impl serde::Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.path())
    }
}
