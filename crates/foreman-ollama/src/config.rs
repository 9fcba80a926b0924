//! Settings of the connection to the target.

use std::time::Duration;

use crate::secret::Secret;

/// Where the target is and how long to wait for it.
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// The address, `http` or `https`, with an optional path prefix.
    pub url: String,
    /// Sent as a bearer token, for a target behind a proxy that wants one.
    pub token: Option<Secret>,
    /// Limit for name look-up, connect and TLS handshake together.
    pub connect_timeout: Duration,
    /// Limit from the request sent to the first byte of the answer.
    pub first_byte_timeout: Duration,
    /// Limit between two pieces of an answer.
    pub idle_timeout: Duration,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self {
            // Where Ollama listens unless it is told otherwise.
            url: "http://127.0.0.1:11434".to_owned(),
            token: None,
            // A LAN answers in milliseconds; a sleeping machine never does.
            connect_timeout: Duration::from_secs(5),
            // Twice the target's own limit for a stalled model load.
            first_byte_timeout: Duration::from_mins(10),
            // Tokens come every second or faster once they come.
            idle_timeout: Duration::from_mins(2),
        }
    }
}

/// How long one exchange may wait for the target.
///
/// `None` means without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// From the request sent to the first byte of the answer's body (of a 2xx; else to its head).
    pub first_byte: Option<Duration>,
    /// Between two pieces of the answer.
    pub idle: Option<Duration>,
}

impl Deadlines {
    /// No limits at all.
    pub const UNLIMITED: Self = Self {
        first_byte: None,
        idle: None,
    };

    /// The same limit for the first byte and between pieces.
    pub fn both(limit: Duration) -> Self {
        Self {
            first_byte: Some(limit),
            idle: Some(limit),
        }
    }
}

impl From<&TargetConfig> for Deadlines {
    fn from(config: &TargetConfig) -> Self {
        Self {
            first_byte: Some(config.first_byte_timeout),
            idle: Some(config.idle_timeout),
        }
    }
}
