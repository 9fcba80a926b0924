//! The trait, fulfilled by the two lanes.

use std::fs;
use std::slice::from_ref;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobId, RunnerKey, Timestamp};
use rusqlite::Connection;
use tokio::sync::{Notify, oneshot, watch};

use super::check::Checker;
use super::files::Place;
use super::open::{self, Opened};
use super::queries::Taken;
use super::reader::ReadLane;
use super::recent::Recent;
use super::writer::{DURABLE, Durability, Load, WriteLane};
use super::{OpenError, SqliteConfig, StoreStats, queries, rows};
use crate::log::Span;
use crate::{
    Accepted, ClaimRequest, Claimed, Deletion, Depth, Due, Foreseen, JobFilter, JobList, LogPage,
    NewJob, Outcome, Purge, Purged, QueueCounts, QueueStore, Recovery, RunLog, Settlement,
    Standing, Standings, StoreError, StoreHealth, StoredAnswer, StoredRequest, UnknownCause,
    Withdrawal,
};

const ORDERED: Load = Load {
    durability: Durability::Ordered,
    urgent: true,
    bytes: 0,
};

/// Jobs that are accepted by one command.
const PART: usize = 1024;

/// Bytes of such jobs.
const PART_BYTES: u64 = 4 * 1024 * 1024;

/// A queue in an SQLite database.
///
/// One process owns the database; a lock file beside it keeps others out. A thread of its own
/// writes and commits in groups, a small pool of connections reads.
///
/// A store that is dropped without [`close`](QueueStore::close) leaves what a crash would leave:
/// everything that was answered, and a check of the database at the next start. The drop waits for
/// the commands that were already handed over.
#[derive(Debug)]
pub struct SqliteStore {
    /// Ends before the writer does.
    checker: Checker,
    writer: Arc<WriteLane>,
    reader: ReadLane,
    recent: Recent,
    place: Place,
}

impl SqliteStore {
    /// Opens or makes a database. It may block for a moment, so call it before serving.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose messages say what to do; the file is then left as it was.
    pub fn open(config: &SqliteConfig) -> Result<Self, OpenError> {
        let Opened {
            writer,
            reader,
            place,
            checker,
        } = open::open(config)?;
        Ok(Self {
            checker,
            writer,
            reader,
            recent: Recent::new(config.recent_requests),
            place,
        })
    }

    /// Waits until the database was checked, where its last owner was killed: a large one is
    /// served from meanwhile. What is found then is told as the [health](QueueStore::health).
    pub async fn checked(&self) {
        self.checker.ended().await;
    }

    /// Reads something that callers are told: what was read is durable when this returns.
    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let found = self.reader.read(read).await?;
        self.writer.shared().durable().await?;
        Ok(found)
    }

    /// Tells what the writer has done so far.
    pub fn stats(&self) -> StoreStats {
        let mut stats = self.writer.shared().stats();
        stats.wal_bytes = fs::metadata(self.place.wal()).map_or(0, |meta| meta.len());
        stats
    }

    /// Completes what was claimed, or returns it where its request must be read; a job whose row is
    /// damaged is not to be run.
    fn taken(&self, taken: Option<Box<Taken>>) -> Result<Option<Claimed>, Box<Claimed>> {
        let Some(taken) = taken else {
            return Ok(None);
        };
        let Taken {
            mut claimed,
            damaged,
        } = *taken;
        if !damaged.is_empty() {
            tracing::error!(
                job.id = %claimed.job.id,
                job.seq = claimed.job.seq,
                columns = damaged.join(", "),
                "stored data of a job is damaged: the job is not run"
            );
            return Ok(Some(claimed));
        }
        claimed.request = self.recent.take(claimed.job.seq);
        if claimed.request.is_none() {
            return Err(Box::new(claimed));
        }
        Ok(Some(claimed))
    }

    /// Reads what a claimed job asks. Where that cannot be read, the job alone suffers.
    async fn with_request(&self, mut claimed: Box<Claimed>) -> Result<Claimed, StoreError> {
        let Claimed { job, .. } = &*claimed;
        let (seq, epoch) = (job.seq, job.progress.epoch);
        let reading = self
            .reader
            .read(move |conn| queries::request_of(conn, seq))
            .await;
        claimed.request = match reading {
            Ok(Some(request)) => Some(request),
            Ok(None) => {
                tracing::warn!(job.id = %job.id, "the stored request of a job is gone");
                None
            }
            Err(error @ (StoreError::Damaged(_) | StoreError::Database(_))) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(job.id = %job.id, error, "the stored request of a job cannot be read");
                None
            }
            Err(other) => {
                let release = Settlement {
                    id: job.id,
                    seq: Some(seq),
                    epoch,
                    now: job.claimed_at.unwrap_or(job.created_at),
                    outcome: Outcome::Released,
                    log: None,
                };
                match self.settle(release).await {
                    // Its end may have come behind the claim.
                    Ok(_) | Err(StoreError::Lost(_)) => return Err(other),
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(*claimed)
    }
}

#[async_trait]
impl QueueStore for SqliteStore {
    async fn accept(&self, job: NewJob) -> Result<Accepted, StoreError> {
        let load = Load {
            bytes: queries::accept_size(&job),
            ..DURABLE
        };
        let recent = self.recent.clone();
        self.writer
            .call(load, move |tx| {
                let accepted = queries::accept(tx, &job)?;
                if let Accepted::New { seq } = accepted {
                    recent.keep(seq, &job);
                }
                Ok(accepted)
            })
            .await
    }

    async fn accept_all(&self, jobs: Vec<NewJob>) -> Vec<Result<Accepted, StoreError>> {
        let mut accepted = Vec::with_capacity(jobs.len());
        let mut begun = Vec::new();
        // All of them before the first is waited for: what comes next comes after them.
        for (part, load) in parts(jobs) {
            let jobs = Arc::clone(&part);
            let recent = self.recent.clone();
            let together = self.writer.begin(load, move |tx| {
                let accepted = queries::accept_all(tx, &jobs)?;
                for accepted in accepted.iter().flatten() {
                    if let Accepted::New { seq } = accepted {
                        recent.take(*seq);
                    }
                }
                Ok(accepted)
            });
            begun.push((part, together.await));
        }
        for (part, together) in begun {
            let together = match together {
                Ok(answer) => self.writer.answered(answer).await,
                Err(error) => Err(error),
            };
            match together {
                Ok(each) => accepted.extend(each),
                // As far as anybody can be, the others are not to suffer for one of them.
                Err(StoreError::Full(_) | StoreError::Database(_)) => {
                    for job in part.iter().cloned() {
                        accepted.push(self.accept(job).await);
                    }
                }
                Err(error) => accepted.extend(refused(error, part.len())),
            }
        }
        accepted
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>, StoreError> {
        let load = Load {
            urgent: !request.is_begun,
            ..ORDERED
        };
        let recent = self.recent.clone();
        let claim = self
            .writer
            .call_now(load, move |tx| queries::claim(tx, &request, &recent));
        match self.taken(claim.await?) {
            Ok(claimed) => Ok(claimed),
            Err(unread) => Box::pin(self.with_request(unread)).await.map(Some),
        }
    }

    fn foresee(&self, wish: &ClaimRequest, passed: &[i64]) -> Option<Foreseen> {
        let must_read = |_: &Arc<_>| Err(());
        let shared = self.writer.shared();
        let heads =
            shared.with_depths(|depths| queries::known_heads(depths, (wish, passed), must_read));
        let choice = (wish.choose)(&heads.ok()??)?;
        let claimed = self.recent.claimed(choice, wish.now);
        Some(Foreseen { choice, claimed })
    }

    async fn claim_arrival(
        &self,
        request: ClaimRequest,
        enough: oneshot::Receiver<()>,
    ) -> Result<Option<Claimed>, StoreError> {
        let recent = self.recent.clone();
        let claim = self.writer.call_until(ORDERED, enough, move |tx| {
            queries::claim(tx, &request, &recent)
        });
        match self.taken(claim.await?) {
            Ok(claimed) => Ok(claimed),
            Err(unread) => Box::pin(self.with_request(unread)).await.map(Some),
        }
    }

    async fn start(&self, seq: i64, epoch: Epoch, now: Timestamp) -> Result<(), StoreError> {
        self.writer
            .call(ORDERED, move |tx| queries::start(tx, seq, epoch, now))
            .await
    }

    async fn append_events(&self, seq: i64, epoch: Epoch, log: RunLog) -> Result<u64, StoreError> {
        let load = Load {
            bytes: log.size(),
            ..DURABLE
        };
        self.writer
            .call(load, move |tx| queries::append_events(tx, seq, epoch, &log))
            .await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Job, StoreError> {
        let load = Load {
            bytes: queries::settle_size(&settlement),
            ..DURABLE
        };
        self.writer
            .call_now(load, move |tx| queries::settle(tx, &settlement))
            .await
    }

    async fn cancel(&self, id: JobId, now: Timestamp) -> Result<Withdrawal, StoreError> {
        self.writer
            .call(DURABLE, move |tx| queries::cancel(tx, id, now))
            .await
    }

    async fn delete(&self, id: JobId, now: Timestamp) -> Result<Deletion, StoreError> {
        self.writer
            .call(DURABLE, move |tx| queries::delete(tx, id, now))
            .await
    }

    async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.writer
            .call(DURABLE, move |tx| queries::due(tx, now))
            .await
    }

    async fn recover(
        &self,
        now: Timestamp,
        latest_retry: Timestamp,
    ) -> Result<Recovery, StoreError> {
        self.writer
            .call(DURABLE, move |tx| queries::recover(tx, now, latest_retry))
            .await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.read(move |conn| rows::by_id(conn, id)).await
    }

    async fn request(&self, id: JobId) -> Result<Option<StoredRequest>, StoreError> {
        self.read(move |conn| queries::request(conn, id)).await
    }

    async fn answer(&self, id: JobId) -> Result<Option<StoredAnswer>, StoreError> {
        self.read(move |conn| queries::answer(conn, id)).await
    }

    async fn events(
        &self,
        id: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        let span = Span { after, limit };
        self.read(move |conn| queries::events(conn, id, span)).await
    }

    async fn list(
        &self,
        filter: JobFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<JobList, StoreError> {
        self.read(move |conn| queries::list(conn, &filter, before, limit))
            .await
    }

    async fn has_ready(&self, runner: &RunnerKey) -> Result<bool, StoreError> {
        let runner = runner.clone();
        self.reader
            .read(move |conn| queries::has_ready(conn, &runner))
            .await
    }

    fn depths(&self) -> Vec<Depth> {
        self.writer.shared().depths()
    }

    async fn standing(&self, job: &Job, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        let mut standings = self.standings(from_ref(job), now).await?;
        let older = standings.older.pop().flatten();
        Ok(older.map(|older| Standing {
            older,
            runners: standings
                .runners
                .remove(&job.priority)
                .map(Arc::unwrap_or_clone)
                .unwrap_or_default(),
        }))
    }

    async fn standings(&self, jobs: &[Job], now: Timestamp) -> Result<Standings, StoreError> {
        let sketch = self.writer.shared().sketch(jobs, now);
        if sketch.is_done() {
            return Ok(sketch.standings);
        }
        self.reader
            .read(move |conn| queries::complete(conn, sketch, now))
            .await
    }

    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError> {
        let oldest = self.writer.shared().oldest();
        self.read(move |conn| queries::oldest_queued(conn, &oldest))
            .await
    }

    fn counts(&self) -> QueueCounts {
        self.writer.shared().counts()
    }

    fn arrivals(&self) -> Arc<Notify> {
        self.writer.shared().arrivals()
    }

    async fn purge(&self, purge: Purge) -> Result<Purged, StoreError> {
        self.writer
            .call(DURABLE, move |tx| queries::purge(tx, purge))
            .await
    }

    async fn save_note(&self, name: &'static str, value: Bytes) -> Result<(), StoreError> {
        self.writer
            .call(DURABLE, move |tx| {
                queries::save_note(tx.conn()?, name, &value)
            })
            .await
    }

    async fn note(&self, name: &'static str) -> Result<Option<Bytes>, StoreError> {
        self.read(move |conn| queries::note(conn, name)).await
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.writer.shared().health()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.checker.end().await;
        self.reader.close();
        self.writer.close().await
    }
}

/// Splits many jobs so that each part is a command that delays others by little.
fn parts(jobs: Vec<NewJob>) -> Vec<(Arc<Vec<NewJob>>, Load)> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::with_capacity(jobs.len().min(PART)), 0_u64);
    let mut last = jobs.len();
    for job in jobs {
        bytes = bytes.saturating_add(queries::accept_size(&job));
        part.push(job);
        last = last.saturating_sub(1);
        if last == 0 || part.len() >= PART || bytes >= PART_BYTES {
            let load = Load { bytes, ..DURABLE };
            parts.push((Arc::new(std::mem::take(&mut part)), load));
            bytes = 0;
        }
    }
    parts
}

/// Says the same of each of several jobs.
fn refused(error: StoreError, jobs: usize) -> Vec<Result<Accepted, StoreError>> {
    let mut each: Vec<_> = (1..jobs).map(|_| Err(alike(&error))).collect();
    each.push(Err(error));
    each
}

/// Says the same once more.
fn alike(error: &StoreError) -> StoreError {
    match error {
        StoreError::Lost(why) => StoreError::Lost(*why),
        StoreError::IdempotencyMismatch => StoreError::IdempotencyMismatch,
        StoreError::NotFound => StoreError::NotFound,
        StoreError::Full(reason) => StoreError::Full(reason.clone()),
        StoreError::QueueFull { waiting } => StoreError::QueueFull { waiting: *waiting },
        StoreError::Busy => StoreError::Busy,
        StoreError::Unknown(cause) => StoreError::Unknown(UnknownCause(cause.0.clone())),
        StoreError::Failed(reason) => StoreError::Failed(reason.clone()),
        StoreError::Database(source) => StoreError::Database(source.to_string().into()),
        StoreError::Damaged(what) => StoreError::Damaged(what.clone()),
        StoreError::Closed => StoreError::Closed,
    }
}
