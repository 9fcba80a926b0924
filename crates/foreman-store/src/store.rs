//! The trait that a queue must fulfil.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobId, RunnerKey, Timestamp};
use tokio::sync::watch;

use crate::{
    Accepted, ClaimRequest, Claimed, Due, NewJob, Purge, Purged, QueueCounts, Recovery, Settlement,
    StoreError, StoreHealth, StoredAnswer, StoredRequest, Withdrawal,
};

/// A durable queue of jobs.
///
/// Every change of a job is one atomic method, judged by
/// [`foreman_job::lifecycle::step`] within the transaction that writes it. "Durable" below means:
/// it survives the death of the process, and the loss of power where the store promises that.
/// "Ordered" means: it survives the death of the process; a loss of power may undo it, but never
/// without undoing everything after it.
///
/// # Cancel safety
///
/// A call whose future is dropped may or may not take effect; it is never half done.
#[async_trait]
pub trait QueueStore: Send + Sync + fmt::Debug {
    /// Accepts a request: from now on it is a job.
    ///
    /// # Durability
    ///
    /// Job, request and idempotency key are durable together when this returns. After a crash in
    /// its middle there is the whole job or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::IdempotencyMismatch`], [`StoreError::Full`] while the intake is closed,
    /// [`StoreError::Unknown`] when the job may or may not be there.
    async fn accept(&self, job: NewJob) -> Result<Accepted, StoreError>;

    /// Claims the next job for a slot, or none when no job is ready.
    ///
    /// # Durability
    ///
    /// Ordered. A crash afterwards leaves a running job that [`recover`](Self::recover) finds; a
    /// loss of power may leave it queued.
    async fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>, StoreError>;

    /// Notes that the target's first byte came: `loading` → `working`.
    ///
    /// # Durability
    ///
    /// Ordered.
    async fn start(&self, seq: i64, epoch: Epoch, now: Timestamp) -> Result<(), StoreError>;

    /// Ends a claim: the only way in which a running job gives back its slot.
    ///
    /// Returns the job afterwards; a wish to cancel turns a retry or release into `cancelled`.
    ///
    /// # Durability
    ///
    /// Outcome and answer are durable together when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Lost`] when the epoch is not the job's: the run was replaced, and nothing of
    /// it may be shown to anybody any more.
    async fn settle(&self, settlement: Settlement) -> Result<Job, StoreError>;

    /// Cancels a queued job, or notes the wish for a running one.
    ///
    /// # Durability
    ///
    /// Durable when this returns.
    async fn cancel(&self, id: JobId, now: Timestamp) -> Result<Withdrawal, StoreError>;

    /// Makes jobs ready whose rest is over and fails those that expired in the queue.
    ///
    /// # Durability
    ///
    /// Durable when this returns.
    async fn due(&self, now: Timestamp) -> Result<Due, StoreError>;

    /// Settles what the last life of foreman left running; called once, before anything else.
    ///
    /// `latest_retry` bounds the rest of jobs in back-off, so that a wall clock that went back
    /// does not put them to sleep for years.
    ///
    /// # Durability
    ///
    /// Durable when this returns. It can be interrupted and called again.
    async fn recover(
        &self,
        now: Timestamp,
        latest_retry: Timestamp,
    ) -> Result<Recovery, StoreError>;

    /// Reads a job.
    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Reads the stored request of a job; none when it is unknown or its body was purged.
    async fn request(&self, id: JobId) -> Result<Option<StoredRequest>, StoreError>;

    /// Reads the stored answer of an ended job; none when it is unknown, has not ended, or its body
    /// was purged.
    async fn answer(&self, id: JobId) -> Result<Option<StoredAnswer>, StoreError>;

    /// Tells whether a ready job waits for this runner.
    async fn has_ready(&self, runner: &RunnerKey) -> Result<bool, StoreError>;

    /// Reads when the oldest waiting job was accepted; none when no job waits.
    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Counts jobs by state, as of the last commit; costs nothing.
    fn counts(&self) -> QueueCounts;

    /// Removes what has outlived its retention, one bounded step per call.
    ///
    /// # Durability
    ///
    /// Durable when this returns.
    async fn purge(&self, purge: Purge) -> Result<Purged, StoreError>;

    /// Keeps a small named value, such as the last inventory of the target.
    ///
    /// # Durability
    ///
    /// Ordered.
    async fn save_note(&self, name: &'static str, value: Bytes) -> Result<(), StoreError>;

    /// Reads a value kept by [`save_note`](Self::save_note).
    async fn note(&self, name: &'static str) -> Result<Option<Bytes>, StoreError>;

    /// Follows whether the store can do its work.
    fn health(&self) -> watch::Receiver<StoreHealth>;

    /// Writes out everything and closes; later calls answer [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}
