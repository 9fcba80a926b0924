//! Forgets what has outlived its retention.

use foreman_job::lifecycle::Event;
use foreman_job::{JobId, JobState, Timestamp};
use rusqlite::{Connection, named_params};

use super::change;
use crate::sqlite::rows;
use crate::sqlite::writer::Tx;
use crate::{Deletion, Purge, Purged, StoreError, transition};

pub(super) const ENDED: &str = "\
SELECT seq, state
FROM jobs
WHERE finished_at < :before
ORDER BY finished_at, seq
LIMIT :limit";

pub(super) const WITH_BODIES: &str = "\
SELECT seq, finished_at
FROM job_bodies
WHERE finished_at < :before
ORDER BY finished_at, seq
LIMIT :limit";

/// What belongs to the job goes with it.
const FORGET: &str = "\
DELETE FROM jobs
WHERE seq = :seq";

const EMPTY: [&str; 3] = [
    "DELETE FROM job_requests WHERE seq = :seq",
    "DELETE FROM job_answers WHERE seq = :seq",
    "DELETE FROM job_events WHERE seq = :seq",
];

const EMPTIED: &str = "\
DELETE FROM job_bodies
WHERE finished_at = :finished_at AND seq = :seq";

/// Gives at most so many free pages back to the disk at a time.
const SHRINK: &str = "PRAGMA incremental_vacuum(200)";

/// Forgets jobs and bodies, each at most `limit` in number.
pub(in crate::sqlite) fn purge(tx: &mut Tx<'_>, purge: Purge) -> Result<Purged, StoreError> {
    let jobs = forget_jobs(tx, purge.jobs_before, purge.limit)?;
    let bodies = forget_bodies(tx.conn, purge.bodies_before, purge.limit)?;
    shrink(tx.conn)?;
    Ok(Purged { bodies, jobs })
}

/// Forgets one job, unless it runs; a queued one is cancelled first.
pub(in crate::sqlite) fn delete(
    tx: &mut Tx<'_>,
    id: JobId,
    now: Timestamp,
) -> Result<Deletion, StoreError> {
    let Some(mut job) = rows::by_id(tx.conn, id)? else {
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
    shrink(tx.conn)?;
    Ok(Deletion::Forgotten(Box::new(job)))
}

fn forget(tx: &mut Tx<'_>, seq: i64, state: JobState) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(FORGET)?
        .execute(named_params! {":seq": seq})?;
    tx.moved(Some(state), None);
    Ok(())
}

fn forget_jobs(tx: &mut Tx<'_>, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let ended: Vec<(i64, String)> = pairs(tx.conn, ENDED, before, limit)?;
    let mut gone = 0_u64;
    for (seq, state) in ended {
        // It has ended, somehow.
        forget(tx, seq, state.parse().unwrap_or(JobState::Failed))?;
        gone = gone.saturating_add(1);
    }
    Ok(gone)
}

fn forget_bodies(conn: &Connection, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let kept: Vec<(i64, i64)> = pairs(conn, WITH_BODIES, before, limit)?;
    let mut emptied = 0_u64;
    for (seq, finished_at) in kept {
        for sql in EMPTY {
            conn.prepare_cached(sql)?
                .execute(named_params! {":seq": seq})?;
        }
        conn.prepare_cached(EMPTIED)?
            .execute(named_params! {":finished_at": finished_at, ":seq": seq})?;
        emptied = emptied.saturating_add(1);
    }
    Ok(emptied)
}

fn pairs<T: rusqlite::types::FromSql>(
    conn: &Connection,
    sql: &str,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<(i64, T)>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map(
        named_params! {":before": before.as_millis(), ":limit": limit},
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The pragma frees one page for each row that it is asked for.
fn shrink(conn: &Connection) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(SHRINK)?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}
