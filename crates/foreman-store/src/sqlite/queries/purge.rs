//! Forgets what has outlived its retention.

use foreman_job::lifecycle::Event;
use foreman_job::{JobId, JobState, Timestamp};
use rusqlite::{Connection, named_params};

use super::change;
use crate::sqlite::rows;
use crate::sqlite::writer::Tx;
use crate::{Deletion, Purge, Purged, StoreError, transition};

pub(super) const ENDED: &str = "\
SELECT finished_at, seq, state
FROM jobs
WHERE state <> 'queued' AND slot IS NULL AND emptied = :emptied AND finished_at < :before
ORDER BY finished_at, seq
LIMIT :limit";

/// What belongs to the job goes with it.
const FORGET: &str = "\
DELETE FROM jobs
WHERE seq = :seq";

const EMPTY: [&str; 4] = [
    "DELETE FROM job_requests WHERE seq = :seq",
    "DELETE FROM job_events WHERE seq = :seq",
    "DELETE FROM job_ends WHERE seq = :seq",
    "UPDATE jobs SET emptied = 1 WHERE seq = :seq",
];

/// Gives at most so many free pages back to the disk at a time.
const SHRINK: &str = "PRAGMA incremental_vacuum(200)";

/// A job that has ended.
struct Ended {
    finished_at: i64,
    seq: i64,
    state: JobState,
}

/// Forgets jobs and bodies, each at most `limit` in number.
pub(in crate::sqlite) fn purge(tx: &mut Tx<'_>, purge: Purge) -> Result<Purged, StoreError> {
    let jobs = forget_jobs(tx, purge.jobs_before, purge.limit)?;
    let bodies = forget_bodies(tx.conn()?, purge.bodies_before, purge.limit)?;
    shrink(tx.conn()?)?;
    Ok(Purged { bodies, jobs })
}

/// Forgets one job, unless it runs; a queued one is cancelled first.
pub(in crate::sqlite) fn delete(
    tx: &mut Tx<'_>,
    id: JobId,
    now: Timestamp,
) -> Result<Deletion, StoreError> {
    let Some(mut job) = rows::by_id(tx.conn()?, id)? else {
        return Ok(Deletion::Unknown);
    };
    if job.progress.state.is_running() {
        return Ok(Deletion::Running(Box::new(job)));
    }
    if job.progress.state == JobState::Queued {
        let cancelled = transition::apply(&job, &Event::Cancel, now)?;
        change::write(tx, &job, &cancelled, now)?;
        job = cancelled;
    }
    forget(tx, job.seq, job.progress.state)?;
    shrink(tx.conn()?)?;
    Ok(Deletion::Forgotten(Box::new(job)))
}

fn forget(tx: &mut Tx<'_>, seq: i64, state: JobState) -> Result<(), StoreError> {
    tx.conn()?
        .prepare_cached(FORGET)?
        .execute(named_params! {":seq": seq})?;
    tx.moved(Some(state), None);
    Ok(())
}

fn forget_jobs(tx: &mut Tx<'_>, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut first = ended(tx.conn()?, true, before, limit)?;
    first.append(&mut ended(tx.conn()?, false, before, limit)?);
    first.sort_unstable_by_key(|job| (job.finished_at, job.seq));
    first.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut gone = 0_u64;
    for Ended { seq, state, .. } in first {
        forget(tx, seq, state)?;
        gone = gone.saturating_add(1);
    }
    Ok(gone)
}

fn forget_bodies(conn: &Connection, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut emptied = 0_u64;
    for Ended { seq, .. } in ended(conn, false, before, limit)? {
        for sql in EMPTY {
            conn.prepare_cached(sql)?
                .execute(named_params! {":seq": seq})?;
        }
        emptied = emptied.saturating_add(1);
    }
    Ok(emptied)
}

/// Finds the jobs that ended first, among those that were emptied or among the others.
fn ended(
    conn: &Connection,
    emptied: bool,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<Ended>, StoreError> {
    let mut statement = conn.prepare_cached(ENDED)?;
    let params =
        named_params! {":emptied": emptied, ":before": before.as_millis(), ":limit": limit};
    let found = statement.query_map(params, |row| {
        let state: String = row.get(2)?;
        Ok(Ended {
            finished_at: row.get(0)?,
            seq: row.get(1)?,
            // It has ended, somehow.
            state: state.parse().unwrap_or(JobState::Failed),
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The pragma frees one page for each row that it is asked for.
fn shrink(conn: &Connection) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(SHRINK)?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}
