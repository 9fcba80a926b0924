//! Why the store could not do what it was asked.

use foreman_job::JobId;
use foreman_job::lifecycle::IllegalTransition;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The job's state or a newer claim does not allow it; nothing was changed.
    #[error("job is not ours to change")]
    Lost(#[from] IllegalTransition),
    /// The same idempotency key came with another body; nothing was changed.
    #[error("idempotency key was used with another request")]
    IdempotencyMismatch,
    /// There is no such job.
    #[error("no such job")]
    NotFound,
    /// The disk is full or nearly so; certainly nothing was changed.
    #[error("disk is full: {0}")]
    Full(String),
    /// As many jobs wait as may; certainly nothing was changed.
    #[error("{waiting} jobs are waiting")]
    QueueFull {
        /// How many wait.
        waiting: u64,
    },
    /// Another process holds the database; certainly nothing was changed.
    #[error("database is busy")]
    Busy,
    /// Nobody knows whether it happened: the commit failed in a way that may have reached the disk.
    #[error("outcome is unknown")]
    Unknown(#[source] UnknownCause),
    /// Earlier the outcome of a commit was unknown; nothing is written until a restart.
    #[error("store has failed: {0}")]
    Failed(String),
    /// Reading or writing failed, and certainly nothing was changed.
    #[error("database error")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored is not what was written.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// The store is closed.
    #[error("store is closed")]
    Closed,
}

/// What made an outcome unknown.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnknownCause(pub String);

/// Events that do not follow the last one of a log: the source of a [`StoreError::Database`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event {first} does not follow event {last}")]
pub struct LogGap {
    /// The number of the first event that was to be added.
    pub first: u64,
    /// The number of the last one that is there.
    pub last: u64,
}

/// A claim for a slot in which a job runs already: the source of a [`StoreError::Database`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job runs in slot {0} already")]
pub struct SlotTaken(pub u32);

/// A new job with the id of another: the source of a [`StoreError::Database`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is a job {0} already")]
pub struct TakenId(pub JobId);
