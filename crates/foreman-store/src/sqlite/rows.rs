//! Jobs as rows: the one statement that reads a job, and the one that changes it.

use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use foreman_job::lifecycle::{Epoch, Progress};
use foreman_job::{
    FailureKind, Job, JobFailure, JobId, PickReason, Priority, RunnerKey, Timestamp, Usage,
};
use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::{Headers, StoreError};

/// The columns are in the order in which [`job`] takes them.
const READ: &str = "\
SELECT seq, id, endpoint, model, runner, priority, caller,
       state, attempt, epoch, crashes, retry_at, cancel_requested_at IS NOT NULL,
       created_at, claimed_at, started_at, finished_at, not_before, expires_at,
       error_code, error_message, target_status,
       prompt_tokens, completion_tokens, load_ns, total_ns,
       retry_of, metadata
FROM jobs
WHERE seq = :seq";

const FIND: &str = "\
SELECT seq
FROM jobs
WHERE id = :id";

/// Writes everything that changes in a job's life. The slot and the time of the wish to cancel
/// are kept as they are while they apply.
const WRITE: &str = "\
UPDATE jobs
SET state = :state,
    slot = CASE WHEN :state IN ('loading', 'working') THEN coalesce(slot, :slot) END,
    attempt = :attempt,
    epoch = :epoch,
    crashes = :crashes,
    retry_at = :retry_at,
    claimed_at = :claimed_at,
    started_at = :started_at,
    finished_at = :finished_at,
    cancel_requested_at = CASE WHEN :cancel_requested THEN coalesce(cancel_requested_at, :now) END,
    pick_reason = coalesce(:pick_reason, pick_reason),
    error_code = :error_code,
    error_message = :error_message,
    target_status = :target_status,
    prompt_tokens = :prompt_tokens,
    completion_tokens = :completion_tokens,
    load_ns = :load_ns,
    total_ns = :total_ns
WHERE seq = :seq";

/// What a change of a job writes besides the job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) now: Timestamp,
    /// The slot and the reason of a claim.
    pub(super) claim: Option<(u32, PickReason)>,
}

/// Reads a job by its place in the queue.
pub(super) fn by_seq(conn: &Connection, seq: i64) -> Result<Option<Job>, StoreError> {
    let mut statement = conn.prepare_cached(READ)?;
    let found = statement
        .query_row(named_params! {":seq": seq}, job)
        .optional()?;
    Ok(found)
}

/// Reads a job by its public name.
pub(super) fn by_id(conn: &Connection, id: JobId) -> Result<Option<Job>, StoreError> {
    match seq_of(conn, id)? {
        Some(seq) => by_seq(conn, seq),
        None => Ok(None),
    }
}

/// Finds a job's place in the queue.
pub(super) fn seq_of(conn: &Connection, id: JobId) -> Result<Option<i64>, StoreError> {
    let mut statement = conn.prepare_cached(FIND)?;
    let seq = statement
        .query_row(named_params! {":id": id.to_string()}, |row| row.get(0))
        .optional()?;
    Ok(seq)
}

/// Writes a changed job.
pub(super) fn write(conn: &Connection, job: &Job, change: Change) -> Result<(), StoreError> {
    let progress = &job.progress;
    let failure = job.failure.as_ref();
    let usage = job.usage.as_ref();
    conn.prepare_cached(WRITE)?.execute(named_params! {
        ":seq": job.seq,
        ":now": change.now.as_millis(),
        ":state": progress.state.as_str(),
        ":slot": change.claim.map(|(slot, _)| slot),
        ":attempt": progress.attempt,
        ":epoch": signed(progress.epoch.get()),
        ":crashes": progress.crashes,
        ":retry_at": millis(progress.retry_at),
        ":cancel_requested": progress.cancel_requested,
        ":claimed_at": millis(job.claimed_at),
        ":started_at": millis(job.started_at),
        ":finished_at": millis(job.finished_at),
        ":pick_reason": change.claim.map(|(_, reason)| reason.as_str()),
        ":error_code": failure.map(|failure| failure.kind.code()),
        ":error_message": failure.map(|failure| failure.message.as_str()),
        ":target_status": job.target_status,
        ":prompt_tokens": usage.map(|usage| signed(usage.prompt_tokens)),
        ":completion_tokens": usage.map(|usage| signed(usage.completion_tokens)),
        ":load_ns": usage.map(|usage| nanos(usage.load)),
        ":total_ns": usage.map(|usage| nanos(usage.total)),
    })?;
    Ok(())
}

/// Writes headers as `[["name","value"],...]`.
pub(super) fn headers_to_text(headers: &Headers) -> Result<String, StoreError> {
    serde_json::to_string(headers).map_err(|error| StoreError::Database(Box::new(error)))
}

/// Reads what [`headers_to_text`] wrote.
pub(super) fn headers_from_text(text: &str) -> Result<Headers, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(format!("headers: {error}")))
}

/// Returns the column of a time.
pub(super) fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

/// Returns the column of a count; those beyond it are not reached.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let mut cells = Cells { row, next: 0 };
    Ok(Job {
        seq: cells.take()?,
        id: cells.parse::<JobId>()?,
        endpoint: cells.parse()?,
        model: cells.take()?,
        runner: RunnerKey::from_stored(cells.take()?),
        priority: cells.known(Priority::from_rank)?,
        caller: cells.take()?,
        progress: progress(&mut cells)?,
        created_at: Timestamp::from_millis(cells.take()?),
        claimed_at: cells.time()?,
        started_at: cells.time()?,
        finished_at: cells.time()?,
        not_before: cells.time()?,
        expires_at: cells.time()?,
        failure: failure(&mut cells)?,
        target_status: cells.take()?,
        usage: usage(&mut cells)?,
        retry_of: cells.maybe()?,
        metadata: cells.take()?,
    })
}

fn progress(cells: &mut Cells<'_, '_>) -> rusqlite::Result<Progress> {
    Ok(Progress {
        state: cells.parse()?,
        attempt: cells.take()?,
        epoch: Epoch::new(cells.count()?),
        crashes: cells.take()?,
        retry_at: cells.time()?,
        cancel_requested: cells.take()?,
    })
}

fn failure(cells: &mut Cells<'_, '_>) -> rusqlite::Result<Option<JobFailure>> {
    let code: Option<String> = cells.take()?;
    let message: Option<String> = cells.take()?;
    let Some((code, message)) = code.zip(message) else {
        return Ok(None);
    };
    let kind = FailureKind::from_code(&code).ok_or_else(|| cells.wrong(Unknown))?;
    Ok(Some(JobFailure { kind, message }))
}

fn usage(cells: &mut Cells<'_, '_>) -> rusqlite::Result<Option<Usage>> {
    let prompt_tokens = cells.maybe_count()?;
    let completion_tokens = cells.maybe_count()?;
    let load = cells.maybe_count()?;
    let total = cells.maybe_count()?;
    Ok(prompt_tokens.map(|prompt_tokens| Usage {
        prompt_tokens,
        completion_tokens: completion_tokens.unwrap_or_default(),
        load: Duration::from_nanos(load.unwrap_or_default()),
        total: Duration::from_nanos(total.unwrap_or_default()),
    }))
}

/// A value that no version of foreman writes into its column.
#[derive(Debug, thiserror::Error)]
#[error("unknown value")]
struct Unknown;

/// Takes the columns of a row from left to right.
struct Cells<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

impl Cells<'_, '_> {
    fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.next)?;
        self.next = self.next.saturating_add(1);
        Ok(value)
    }

    fn parse<T>(&mut self) -> rusqlite::Result<T>
    where
        T: FromStr,
        T::Err: Error + Send + Sync + 'static,
    {
        let text: String = self.take()?;
        text.parse().map_err(|error| self.wrong(error))
    }

    fn maybe<T>(&mut self) -> rusqlite::Result<Option<T>>
    where
        T: FromStr,
        T::Err: Error + Send + Sync + 'static,
    {
        let text: Option<String> = self.take()?;
        text.map(|text| text.parse().map_err(|error| self.wrong(error)))
            .transpose()
    }

    fn known<T>(&mut self, find: fn(i64) -> Option<T>) -> rusqlite::Result<T> {
        let stored = self.take()?;
        find(stored).ok_or_else(|| self.wrong(Unknown))
    }

    fn count(&mut self) -> rusqlite::Result<u64> {
        let stored = self.take()?;
        self.unsigned(stored)
    }

    fn maybe_count(&mut self) -> rusqlite::Result<Option<u64>> {
        let stored: Option<i64> = self.take()?;
        stored.map(|stored| self.unsigned(stored)).transpose()
    }

    fn unsigned(&self, stored: i64) -> rusqlite::Result<u64> {
        u64::try_from(stored).map_err(|error| self.wrong(error))
    }

    fn time(&mut self) -> rusqlite::Result<Option<Timestamp>> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_millis))
    }

    /// Says that the column taken last holds what it cannot.
    fn wrong(&self, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
        let column = self.next.saturating_sub(1);
        rusqlite::Error::FromSqlConversionFailure(column, Type::Null, Box::new(error))
    }
}
