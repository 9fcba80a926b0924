//! Jobs as rows: the one statement that reads a job, and the one that changes it.

use std::borrow::Cow;
use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use foreman_job::lifecycle::{Epoch, Progress};
use foreman_job::{
    Endpoint, FailureKind, Job, JobFailure, JobId, PickReason, Priority, Random, RunnerKey,
    Timestamp, Usage,
};
use rusqlite::types::{FromSql, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

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
///
/// A change that is refused is refused before anything is written. Said so (`OR FAIL`), SQLite keeps
/// no copies of the pages to undo half of it.
const WRITE: &str = "\
UPDATE OR FAIL jobs
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

/// A job as it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) job: Job,
    /// The columns that hold what no foreman writes: the job is not what it was.
    pub(super) damaged: Vec<String>,
}

/// Reads a job by its place in the queue, and tells how much of it could be read.
pub(super) fn found(conn: &Connection, seq: i64) -> Result<Option<Found>, StoreError> {
    let mut statement = conn.prepare_cached(READ)?;
    let found = statement.query_row([seq], job).optional()?;
    Ok(found)
}

/// Reads a job by its place in the queue.
pub(super) fn by_seq(conn: &Connection, seq: i64) -> Result<Option<Job>, StoreError> {
    Ok(found(conn, seq)?.map(|found| found.job))
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
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?;
    Ok(seq)
}

/// Writes a changed job, whose row must be there.
pub(super) fn write(conn: &Connection, job: &Job, change: Change) -> Result<(), StoreError> {
    let progress = &job.progress;
    let failure = job.failure.as_ref();
    let usage = job.usage.as_ref();
    // In the order in which the statement names them: to look up their names costs as much as to
    // write them.
    let rows = conn.prepare_cached(WRITE)?.execute(params![
        progress.state.as_str(),
        change.claim.map(|(slot, _)| slot),
        progress.attempt,
        signed(progress.epoch.get()),
        progress.crashes,
        millis(progress.retry_at),
        millis(job.claimed_at),
        millis(job.started_at),
        millis(job.finished_at),
        progress.cancel_requested,
        change.now.as_millis(),
        change.claim.map(|(_, reason)| reason.as_str()),
        failure.map(|failure| failure.kind.code()),
        failure.map(|failure| failure.message.as_str()),
        job.target_status,
        usage.map(|usage| signed(usage.prompt_tokens)),
        usage.map(|usage| signed(usage.completion_tokens)),
        usage.map(|usage| nanos(usage.load)),
        usage.map(|usage| nanos(usage.total)),
        job.seq,
    ])?;
    if rows == 0 {
        return Err(StoreError::NotFound);
    }
    Ok(())
}

/// Writes headers as `[["name","value"],...]`.
pub(super) fn headers_to_text(headers: &Headers) -> Result<String, StoreError> {
    serde_json::to_string(headers.as_ref()).map_err(|error| StoreError::Database(Box::new(error)))
}

/// Reads what [`headers_to_text`] wrote.
pub(super) fn headers_from_text(text: &str) -> Result<Headers, StoreError> {
    let headers: Vec<_> = serde_json::from_str(text)
        .map_err(|error| StoreError::Damaged(format!("headers: {error}")))?;
    Ok(headers.into())
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

/// Reads a text; what is no Unicode in it is replaced.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    if let ValueRef::Text(bytes) = row.get_ref(column)? {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    }
    row.get(column)
}

/// Reads a text that may be missing; what is no Unicode in it is replaced.
pub(super) fn maybe_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    if row.get_ref(column)? == ValueRef::Null {
        return Ok(None);
    }
    text(row, column).map(Some)
}

/// Reads all of a job that can be read: what moves it from state to state must be.
///
/// One damaged value must not hold up the queue, nor hide a job from those who look for it.
fn job(row: &Row<'_>) -> rusqlite::Result<Found> {
    let mut cells = Cells {
        row,
        next: 0,
        damaged: Vec::new(),
    };
    let seq = cells.take()?;
    let id = cells.parse();
    let id = cells.there(id).unwrap_or_else(|| substitute(seq));
    let endpoint = cells.parse();
    let endpoint = cells.there(endpoint).unwrap_or(Endpoint::Chat);
    let model = cells.text();
    let model = cells.there(model).unwrap_or_default();
    let runner = cells.text();
    let runner = cells.there(runner).unwrap_or_default();
    let mut job = Job {
        seq,
        id,
        endpoint,
        model,
        runner: RunnerKey::from_stored(runner),
        priority: cells.known(Priority::from_rank)?,
        caller: cells.owner(),
        progress: progress(&mut cells)?,
        created_at: Timestamp::from_millis(cells.take()?),
        claimed_at: cells.time(),
        started_at: cells.time(),
        finished_at: cells.time(),
        not_before: cells.time(),
        expires_at: cells.time(),
        failure: failure(&mut cells),
        target_status: cells.maybe(),
        usage: usage(&mut cells),
        retry_of: cells.parse(),
        metadata: cells.text(),
    };
    let damaged = cells.damaged;
    if !damaged.is_empty() && job.failure.is_none() {
        let message = format!("stored data of the job is damaged: {}", damaged.join(", "));
        job.failure = Some(JobFailure::new(FailureKind::StorageRead, message));
    }
    Ok(Found { job, damaged })
}

/// Names a job whose name cannot be read, so that no two are taken for one.
fn substitute(seq: i64) -> JobId {
    struct Place(i64);
    impl Random for Place {
        fn next_u64(&self) -> u64 {
            self.0.unsigned_abs()
        }
    }
    JobId::generate(Timestamp::from_millis(0), &Place(seq))
}

fn progress(cells: &mut Cells<'_, '_>) -> rusqlite::Result<Progress> {
    let state: String = cells.take()?;
    Ok(Progress {
        state: state.parse().map_err(|error| cells.wrong(error))?,
        attempt: cells.take()?,
        epoch: Epoch::new(cells.count()?),
        crashes: cells.take()?,
        retry_at: cells.time(),
        cancel_requested: cells.take()?,
    })
}

fn failure(cells: &mut Cells<'_, '_>) -> Option<JobFailure> {
    let code = cells.text();
    let message = cells.text();
    let (code, message) = code.zip(message)?;
    let kind = FailureKind::from_code(&code).unwrap_or_else(|| {
        // The one before the message.
        cells.note_column(cells.next.saturating_sub(2));
        FailureKind::StorageRead
    });
    Some(JobFailure { kind, message })
}

fn usage(cells: &mut Cells<'_, '_>) -> Option<Usage> {
    let prompt_tokens = cells.maybe_count();
    let completion_tokens = cells.maybe_count();
    let load = cells.maybe_count();
    let total = cells.maybe_count();
    prompt_tokens.map(|prompt_tokens| Usage {
        prompt_tokens,
        completion_tokens: completion_tokens.unwrap_or_default(),
        load: Duration::from_nanos(load.unwrap_or_default()),
        total: Duration::from_nanos(total.unwrap_or_default()),
    })
}

/// A value that no version of foreman writes into its column.
#[derive(Debug, thiserror::Error)]
#[error("unknown value")]
struct Unknown;

/// Takes the columns of a row from left to right.
struct Cells<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
    /// What could not be read so far.
    damaged: Vec<String>,
}

impl<'r> Cells<'r, '_> {
    /// Takes what must be right.
    fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.next)?;
        self.next = self.next.saturating_add(1);
        Ok(value)
    }

    fn known<T>(&mut self, find: fn(i64) -> Option<T>) -> rusqlite::Result<T> {
        let stored = self.take()?;
        find(stored).ok_or_else(|| self.wrong(Unknown))
    }

    fn count(&mut self) -> rusqlite::Result<u64> {
        let stored: i64 = self.take()?;
        u64::try_from(stored).map_err(|error| self.wrong(error))
    }

    /// Takes what may be missing; what cannot be read is noted and missing, too.
    fn maybe<T: FromSql>(&mut self) -> Option<T> {
        let value = self.row.get(self.next);
        self.or_note(value.map_err(|_| Unknown))
    }

    fn maybe_count(&mut self) -> Option<u64> {
        let stored: rusqlite::Result<Option<i64>> = self.row.get(self.next);
        let count = stored.map_err(|_| Unknown).and_then(|stored| {
            let count = stored.map(u64::try_from).transpose();
            count.map_err(|_| Unknown)
        });
        self.or_note(count)
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.maybe().map(Timestamp::from_millis)
    }

    /// Takes a text. One that is no Unicode is damaged; as much of it as can be is shown.
    fn text(&mut self) -> Option<String> {
        let column = self.next;
        let text = self
            .raw_text()
            .map(|text| text.map(String::from_utf8_lossy));
        if matches!(text, Ok(Some(Cow::Owned(_)))) {
            self.note_column(column);
        }
        let text = text.map(|text| text.map(Cow::into_owned));
        self.or_note(text)
    }

    /// Takes the name of a caller; one that cannot be read is nobody's.
    fn owner(&mut self) -> Option<String> {
        let before = self.damaged.len();
        let name = self.text();
        let is_damaged = self.damaged.len() > before;
        name.or_else(|| is_damaged.then(String::new))
    }

    fn parse<T: FromStr>(&mut self) -> Option<T> {
        let parsed = self.raw_text().and_then(|text| {
            let Some(text) = text else { return Ok(None) };
            let text = std::str::from_utf8(text).map_err(|_| Unknown)?;
            text.parse().map(Some).map_err(|_| Unknown)
        });
        self.or_note(parsed)
    }

    fn raw_text(&self) -> Result<Option<&'r [u8]>, Unknown> {
        match self.row.get_ref(self.next) {
            Ok(ValueRef::Text(bytes)) => Ok(Some(bytes)),
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_)) | Err(_) => {
                Err(Unknown)
            }
        }
    }

    /// Notes the column taken last when it must not be empty and is.
    fn there<T>(&mut self, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.note_column(self.next.saturating_sub(1));
        }
        value
    }

    /// Goes on to the next column; notes this one when it could not be read.
    fn or_note<T>(&mut self, value: Result<Option<T>, Unknown>) -> Option<T> {
        let column = self.next;
        self.next = column.saturating_add(1);
        value.unwrap_or_else(|Unknown| {
            self.note_column(column);
            None
        })
    }

    fn note_column(&mut self, column: usize) {
        let statement: &rusqlite::Statement<'_> = self.row.as_ref();
        let name = statement.column_name(column).unwrap_or("a column");
        if self.damaged.last().is_none_or(|last| last != name) {
            self.damaged.push(name.to_owned());
        }
    }

    /// Says that the column taken last holds what it cannot.
    fn wrong(&self, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
        let column = self.next.saturating_sub(1);
        rusqlite::Error::FromSqlConversionFailure(column, Type::Null, Box::new(error))
    }
}
