//! The trait that a queue must fulfil.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobId, RunnerKey, Timestamp};
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    Accepted, ClaimRequest, Claimed, Deletion, Depth, Due, Foreseen, JobFilter, JobList, LogPage,
    NewJob, Purge, Purged, QueueCounts, Recovery, RunLog, Settlement, Standing, Standings,
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
    /// its middle there is the whole job or nothing. It can be claimed a little earlier than that.
    ///
    /// # Errors
    ///
    /// [`StoreError::IdempotencyMismatch`], [`StoreError::QueueFull`] while `max_queue` jobs wait,
    /// [`StoreError::Full`] while the intake is closed,
    /// [`StoreError::Unknown`] when the job may or may not be there.
    async fn accept(&self, job: NewJob) -> Result<Accepted, StoreError>;

    /// Accepts several requests in their order, each as [`accept`](Self::accept) does.
    ///
    /// # Durability
    ///
    /// As for each of them by itself. After a crash in its middle some of the first ones may be
    /// there.
    async fn accept_all(&self, jobs: Vec<NewJob>) -> Vec<Result<Accepted, StoreError>> {
        let mut accepted = Vec::with_capacity(jobs.len());
        for job in jobs {
            accepted.push(self.accept(job).await);
        }
        accepted
    }

    /// Claims the next job for a slot, or none when no job is ready, or not the one that was
    /// [foreseen](ClaimRequest::foreseen).
    ///
    /// A claim of what was foreseen, and the settlement of its run, take effect in the order in
    /// which they were begun, that is, their futures polled for the first time. So the second one
    /// need not wait for the answer of the first.
    ///
    /// # Durability
    ///
    /// Ordered. A crash afterwards leaves a running job that [`recover`](Self::recover) finds; a
    /// loss of power may leave it queued.
    ///
    /// A job whose request cannot be read any more is claimed like others, without it: whoever
    /// claimed it fails it, and the queue goes on.
    async fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>, StoreError>;

    /// Foresees what a claim would take, as of the last commit, as if the jobs at some places were
    /// not there: those that are about to be claimed. None where no job may be claimed, or where a
    /// store would have to read for it, as this default.
    ///
    /// The policy is asked here, and not again by a claim that is told
    /// [what was foreseen](ClaimRequest::foreseen).
    fn foresee(&self, wish: &ClaimRequest, passed: &[i64]) -> Option<Foreseen> {
        let _ = (wish, passed);
        None
    }

    /// Claims like [`claim`](Self::claim), and when no job is ready waits for one to be accepted:
    /// that is claimed in the same step. None when the caller has waited `enough` (which it says by
    /// sending or by dropping the sender), or when the store does not wait, as this default.
    ///
    /// The time of the claim is that of the request or, where it is later, of the acceptance.
    ///
    /// # Cancel safety
    ///
    /// None: a job may be claimed although the future was dropped. Say `enough`, and await the
    /// answer.
    async fn claim_arrival(
        &self,
        request: ClaimRequest,
        enough: oneshot::Receiver<()>,
    ) -> Result<Option<Claimed>, StoreError> {
        drop(enough);
        self.claim(request).await
    }

    /// Notes that the target's first byte came: `loading` → `working`.
    ///
    /// # Durability
    ///
    /// Ordered. A crash afterwards leaves a running job that [`recover`](Self::recover) finds, in
    /// the one state or the other.
    async fn start(&self, seq: i64, epoch: Epoch, now: Timestamp) -> Result<(), StoreError>;

    /// Adds events of a run to the log of its job; returns the number of the last one.
    ///
    /// It can be repeated: events that are logged already are passed over.
    ///
    /// # Durability
    ///
    /// Durable when this returns. After a crash in its middle all of them are there or none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Lost`] when the epoch is not the job's, or the job does not run;
    /// [`StoreError::Database`] with a [`LogGap`](crate::LogGap) when events before these are
    /// missing.
    async fn append_events(&self, seq: i64, epoch: Epoch, log: RunLog) -> Result<u64, StoreError>;

    /// Ends a claim: the only way in which a running job gives back its slot.
    ///
    /// Returns the job afterwards; a wish to cancel turns a retry or release into `cancelled`. A
    /// job that goes back to the queue after events of the run were logged gets a
    /// [`Reset`](crate::LogEvent::Reset) and its state logged too; so it is in
    /// [`recover`](Self::recover).
    ///
    /// # Durability
    ///
    /// Outcome, answer and log are durable together when this returns. After a crash in its middle
    /// the job has ended so, or it is found running by [`recover`](Self::recover).
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
    /// Durable when this returns. After a crash in its middle the job is as it was, or cancelled, or
    /// has the wish noted, which [`recover`](Self::recover) then fulfils.
    async fn cancel(&self, id: JobId, now: Timestamp) -> Result<Withdrawal, StoreError>;

    /// Forgets a job with its bodies, unless it runs; a queued one is cancelled by that.
    ///
    /// # Durability
    ///
    /// Durable when this returns. After a crash in its middle the job is there with its bodies, or
    /// all of it is gone.
    async fn delete(&self, id: JobId, now: Timestamp) -> Result<Deletion, StoreError>;

    /// Makes jobs ready whose rest is over and fails those that expired in the queue.
    ///
    /// # Durability
    ///
    /// Durable when this returns. After a crash in its middle nothing of it has happened, or all.
    async fn due(&self, now: Timestamp) -> Result<Due, StoreError>;

    /// Settles what the last life of foreman left running; called once, before anything else.
    ///
    /// A job that was found running at an earlier crash already rests for half a minute, so that
    /// others go first.
    ///
    /// `latest_retry` bounds the rest of jobs in back-off, so that a wall clock that went back
    /// does not put them to sleep for years; a time that the caller chose stays.
    ///
    /// # Durability
    ///
    /// Durable when this returns. After a crash in its middle nothing of it has happened, or all; it
    /// can be called again.
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

    /// Reads the log of a job after an event, at most about `limit` events and a bounded number of
    /// bytes at a time; none when the job is unknown.
    ///
    /// After the end of the log, the end is told again.
    async fn events(
        &self,
        id: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<LogPage>, StoreError>;

    /// Lists jobs, the last accepted first: at most `limit`, and those before a place where one is
    /// named.
    ///
    /// It looks at a bounded number of jobs, so that what is rare costs no more than what is not;
    /// the list then tells where to go on.
    async fn list(
        &self,
        filter: JobFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<JobList, StoreError>;

    /// Tells whether a ready job waits for this runner.
    async fn has_ready(&self, runner: &RunnerKey) -> Result<bool, StoreError>;

    /// Counts the jobs in the queue by model, runner, class and caller, as of the last commit;
    /// costs no more than there are such groups.
    fn depths(&self) -> Vec<Depth>;

    /// Reads where a ready job stands in the queue; none when it is not ready.
    ///
    /// For a job that came lately it costs what is said for each runner that jobs wait for, and
    /// nothing is read; for an older one a step in an index for each ready job of the same class
    /// and runner that is younger.
    async fn standing(&self, job: &Job, now: Timestamp) -> Result<Option<Standing>, StoreError>;

    /// Reads where each of several jobs stands, for little more than one of them costs.
    async fn standings(&self, jobs: &[Job], now: Timestamp) -> Result<Standings, StoreError> {
        let mut standings = Standings::default();
        for job in jobs {
            let standing = self.standing(job, now).await?;
            standings.older.push(standing.map(|standing| {
                let runners = Arc::new(standing.runners);
                standings.runners.insert(job.priority, runners);
                standing.older
            }));
        }
        standings.count(&self.depths());
        Ok(standings)
    }

    /// Reads when the oldest waiting job was accepted, which is the first in the order of acceptance
    /// whatever the clock said; none when no job waits.
    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Counts jobs by state, as of the last commit; costs nothing.
    fn counts(&self) -> QueueCounts;

    /// Is rung when there may be something to claim: a job can be claimed before its acceptance is
    /// durable, since nobody is told of it before.
    ///
    /// It may be rung in vain, and need not be rung at all.
    fn arrivals(&self) -> Arc<Notify> {
        Arc::default()
    }

    /// Removes what has outlived its retention, one bounded step per call.
    ///
    /// # Durability
    ///
    /// Durable when this returns. After a crash in its middle nothing of the step has happened, or
    /// all.
    async fn purge(&self, purge: Purge) -> Result<Purged, StoreError>;

    /// Keeps a small named value, such as the last inventory of the target.
    ///
    /// # Durability
    ///
    /// Durable when this returns. After a crash in its middle the old value is there, or the new one.
    async fn save_note(&self, name: &'static str, value: Bytes) -> Result<(), StoreError>;

    /// Reads a value kept by [`save_note`](Self::save_note).
    async fn note(&self, name: &'static str) -> Result<Option<Bytes>, StoreError>;

    /// Follows whether the store can do its work.
    fn health(&self) -> watch::Receiver<StoreHealth>;

    /// Writes out everything and closes; later calls answer [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}
