//! What can go wrong when a stub is started or waited for.

use std::{io, net::SocketAddr, time::Duration};

use thiserror::Error;

/// A stub that cannot listen.
#[derive(Debug, Error)]
pub enum StubError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A model name that Ollama would not accept.
    #[error("invalid model name {name:?}")]
    ModelName {
        /// The name as given.
        name: String,
    },
}

/// A condition that did not come true in time.
#[derive(Debug, Error)]
#[error("waited {waited:?} for {what}; the stub has seen {seen}")]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub waited: Duration,
    /// A summary of the record at that moment.
    pub seen: String,
}

/// A duration that is not written like `200ms` or `1m30s`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct DurationError(pub(crate) String);
