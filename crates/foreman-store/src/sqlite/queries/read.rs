//! Reads, none of which holds its snapshot longer than it takes.

use bytes::Bytes;
use foreman_job::{Job, JobId, JobState, RunnerKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, named_params};

use super::{answer as answers, journal, line};
use crate::depth::Oldest;
use crate::log::{self, Span};
use crate::sqlite::rows;
use crate::{FIRST_EVENT, LogPage, QueueCounts, StoreError, StoredAnswer, StoredRequest};

const REQUEST: &str = "\
SELECT headers, body
FROM job_requests
WHERE seq = :seq";

const HAS_REQUEST: &str = "\
SELECT EXISTS (SELECT 1 FROM job_requests WHERE seq = :seq)";

pub(super) const HAS_READY: &str = "\
SELECT EXISTS (
  SELECT 1
  FROM jobs
  WHERE state = 'queued' AND retry_at IS NULL AND runner = :runner)";

pub(super) const OLDEST_RESTING: &str = "\
SELECT seq, created_at, expires_at
FROM jobs INDEXED BY jobs_resting
WHERE state = 'queued' AND retry_at IS NOT NULL
ORDER BY seq
LIMIT 1";

const RUNNING: &str = "\
SELECT count(*)
FROM jobs
WHERE state <> 'queued' AND slot IS NOT NULL AND state = :state";

/// Reads the index only.
pub(super) const ENDED: &str = "\
SELECT count(*)
FROM jobs
WHERE state <> 'queued' AND slot IS NULL AND state = :state";

/// Reads the request of a job.
pub(in crate::sqlite) fn request(
    conn: &Connection,
    id: JobId,
) -> Result<Option<StoredRequest>, StoreError> {
    match rows::seq_of(conn, id)? {
        Some(seq) => request_of(conn, seq),
        None => Ok(None),
    }
}

/// Reads the request of a job by its place.
pub(in crate::sqlite) fn request_of(
    conn: &Connection,
    seq: i64,
) -> Result<Option<StoredRequest>, StoreError> {
    let found: Option<(String, Vec<u8>)> = conn
        .prepare_cached(REQUEST)?
        .query_row(named_params! {":seq": seq}, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((headers, body)) = found else {
        return Ok(None);
    };
    Ok(Some(StoredRequest {
        headers: rows::headers_from_text(&headers)?,
        body: Bytes::from(body),
    }))
}

/// Reads the answer of a job, all of it from one snapshot.
pub(in crate::sqlite) fn answer(
    conn: &Connection,
    id: JobId,
) -> Result<Option<StoredAnswer>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let found = match rows::by_id(&snapshot, id)? {
        Some(job) => answers::read(&snapshot, &job)?,
        None => None,
    };
    snapshot.finish()?;
    Ok(found)
}

/// Reads a part of the log of a job, all of it from one snapshot.
pub(in crate::sqlite) fn events(
    conn: &Connection,
    id: JobId,
    span: Span,
) -> Result<Option<LogPage>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let found = match rows::by_id(&snapshot, id)? {
        Some(job) => Some(page(&snapshot, job, span)?),
        None => None,
    };
    snapshot.finish()?;
    Ok(found)
}

fn page(conn: &Connection, job: Job, span: Span) -> Result<LogPage, StoreError> {
    let seq = job.seq;
    let end = journal::end(conn, seq)?;
    let has_request = conn
        .prepare_cached(HAS_REQUEST)?
        .query_row(named_params! {":seq": seq}, |row| row.get::<_, bool>(0))?;
    let is_emptied = end.n == FIRST_EVENT && answers::read_head(conn, seq)?.is_some();
    let written = journal::read(conn, seq, span)?;
    let mut page = log::page(job, span, end.n, written);
    page.pruned = !has_request || is_emptied;
    Ok(page)
}

/// Tells whether a ready job waits for a runner.
pub(in crate::sqlite) fn has_ready(
    conn: &Connection,
    runner: &RunnerKey,
) -> Result<bool, StoreError> {
    let found = conn
        .prepare_cached(HAS_READY)?
        .query_row(named_params! {":runner": runner.as_str()}, |row| row.get(0))?;
    Ok(found)
}

/// Reads when the oldest waiting job was accepted: what the counts say of the ready ones, and what
/// they do not.
pub(in crate::sqlite) fn oldest_queued(
    conn: &Connection,
    oldest: &Oldest,
) -> Result<Option<Timestamp>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let resting = snapshot
        .prepare_cached(OLDEST_RESTING)?
        .query_row([], |row| line::spot(row, 0));
    let mut spots = vec![oldest.known, resting.optional()?];
    for group in &oldest.unknown {
        spots.push(line::first(&snapshot, group, None)?);
    }
    snapshot.finish()?;
    let oldest = spots.into_iter().flatten().min_by_key(|spot| spot.seq);
    Ok(oldest.map(|spot| spot.created_at))
}

/// Counts all jobs, of which so many are queued; done once, when the store is opened.
pub(in crate::sqlite) fn counts(conn: &Connection, queued: u64) -> Result<QueueCounts, StoreError> {
    let mut counts = QueueCounts::default();
    for state in JobState::ALL {
        *counts.of_mut(state) = match state {
            JobState::Queued => queued,
            JobState::Loading | JobState::Working => count(conn, RUNNING, state)?,
            JobState::Done | JobState::Failed | JobState::Cancelled => count(conn, ENDED, state)?,
        };
    }
    Ok(counts)
}

fn count(conn: &Connection, sql: &str, state: JobState) -> Result<u64, StoreError> {
    let params = named_params! {":state": state.as_str()};
    let count: i64 = conn.query_row(sql, params, |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}
