//! Why serving ended, or did not begin.

use std::io;
use std::net::SocketAddr;

use foreman_ollama::{ConfigError, TargetUrlError};
use foreman_scheduler::SchedulerError;
use foreman_store::{OpenError, StoreError};
use foreman_stub::StubError;
use tokio::task::JoinError;

use crate::exit::Exit;
use crate::telemetry::TelemetryError;

/// Why serving ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No log can be written.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The asynchronous runtime does not start.
    #[error("start the runtime")]
    Runtime(#[source] io::Error),
    /// The embedded stub does not start.
    #[error("start the embedded stub")]
    Stub(#[from] StubError),
    /// The embedded stub listens where no target can be.
    #[error("use the embedded stub")]
    StubUrl(#[from] TargetUrlError),
    /// The target cannot be talked to as the settings say.
    #[error("set up the connection to the target")]
    Target(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("listen on {address}; is another foreman running there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What the last life left cannot be read or settled.
    #[error("recover the queue")]
    Recover(#[from] StoreError),
    /// Signals cannot be listened for.
    #[error("listen for signals")]
    Signals(#[source] io::Error),
    /// The scheduler cannot go on.
    #[error("run jobs")]
    Scheduler(#[source] SchedulerError),
    /// The server cannot go on.
    #[error("serve callers")]
    Server(#[source] foreman_server::ServeError),
    /// The store does not know what is on disk.
    #[error("the store has failed ({0}); start foreman again, and it finds out what was kept")]
    StoreFailed(String),
    /// A part of the program panicked.
    #[error("a part of foreman panicked")]
    Panicked(#[source] JoinError),
    /// A part of the program ended although nobody asked it to.
    #[error("a part of foreman ended unasked")]
    EndedUnasked,
    /// The store could not be closed.
    #[error("close the database")]
    Close(#[source] StoreError),
    /// A second signal cut the shutdown short; the jobs are safe.
    #[error("interrupted; the running job is back in the queue")]
    Interrupted,
}

impl ServeError {
    /// Returns the exit code that tells of it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Open(_)
            | Self::Stub(_)
            | Self::StubUrl(_)
            | Self::Target(_)
            | Self::Listen { .. }
            | Self::Recover(_)
            | Self::Close(_) => Exit::Failed,
            Self::Telemetry(_)
            | Self::Runtime(_)
            | Self::Signals(_)
            | Self::Scheduler(_)
            | Self::Server(_)
            | Self::StoreFailed(_)
            | Self::Panicked(_)
            | Self::EndedUnasked => Exit::Internal,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}
