//! What the passing of time and the start of the program do to the queue.

use std::sync::Arc;

use foreman_job::Timestamp;
use rusqlite::{Connection, named_params};

use super::{change, journal, line};
use crate::depth::{Group, Move, Spot};
use crate::sqlite::rows;
use crate::sqlite::writer::Tx;
use crate::{Due, Recovery, StoreError, transition};

pub(super) const EXPIRED: &str = "\
SELECT seq
FROM jobs
WHERE state = 'queued' AND expires_at <= :now";

pub(super) const PROMOTE: &str = "\
UPDATE jobs
SET retry_at = NULL
WHERE state = 'queued' AND retry_at <= :now
RETURNING model, runner, priority, caller, seq, created_at, expires_at";

pub(super) const NEXT_RETRY: &str = "\
SELECT min(retry_at)
FROM jobs
WHERE state = 'queued' AND retry_at IS NOT NULL";

pub(super) const NEXT_EXPIRY: &str = "\
SELECT min(expires_at)
FROM jobs
WHERE state = 'queued' AND expires_at IS NOT NULL";

pub(super) const RUNNING: &str = "\
SELECT seq
FROM jobs
WHERE state <> 'queued' AND slot IS NOT NULL";

pub(super) const CLAMP: &str = "\
UPDATE jobs
SET retry_at = min(retry_at, max(:latest, coalesce(not_before, :latest)))
WHERE state = 'queued' AND retry_at > :latest";

/// Makes jobs ready whose rest is over and fails those that expired.
pub(in crate::sqlite) fn due(tx: &mut Tx<'_>, now: Timestamp) -> Result<Due, StoreError> {
    let mut due = Due::default();
    for seq in seqs(tx.conn()?, EXPIRED, &[(":now", &now.as_millis())])? {
        let before = rows::by_seq(tx.conn()?, seq)?.ok_or(StoreError::NotFound)?;
        let after = transition::expire(&before, now)?;
        change::write(tx, &before, &after, now)?;
        due.expired.push(after);
    }
    due.promoted = promote(tx, now)?;
    let conn = tx.conn()?;
    due.next = [NEXT_RETRY, NEXT_EXPIRY]
        .into_iter()
        .map(|sql| time(conn, sql))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .min();
    Ok(due)
}

/// Makes jobs ready whose rest is over, and counts them.
fn promote(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, StoreError> {
    let mut lines: Vec<(Arc<Group>, u64, Spot)> = Vec::new();
    {
        let mut statement = tx.conn()?.prepare_cached(PROMOTE)?;
        let mut found = statement.query(named_params! {":now": now.as_millis()})?;
        while let Some(row) = found.next()? {
            let (group, spot) = (line::group(row)?, line::spot(row, 4)?);
            match lines.iter_mut().find(|(known, ..)| **known == group) {
                Some((_, jobs, first)) => {
                    *jobs = jobs.saturating_add(1);
                    if spot.seq < first.seq {
                        *first = spot;
                    }
                }
                None => lines.push((Arc::new(group), 1, spot)),
            }
        }
    }
    let mut promoted: u64 = 0;
    for (group, jobs, first) in lines {
        promoted = promoted.saturating_add(jobs);
        tx.queue_moved(Move::Woken(group, jobs, first));
    }
    Ok(promoted)
}

/// Settles what the last life left running.
pub(in crate::sqlite) fn recover(
    tx: &mut Tx<'_>,
    now: Timestamp,
    latest_retry: Timestamp,
) -> Result<Recovery, StoreError> {
    let mut jobs = Vec::new();
    for seq in seqs(tx.conn()?, RUNNING, &[])? {
        let before = rows::by_seq(tx.conn()?, seq)?.ok_or(StoreError::NotFound)?;
        let after = transition::recover(&before, now, latest_retry)?;
        change::write(tx, &before, &after, now)?;
        journal::reset(tx.conn()?, &after)?;
        jobs.push((before.progress.state, after));
    }
    tx.conn()?
        .prepare_cached(CLAMP)?
        .execute(named_params! {":latest": latest_retry.as_millis()})?;
    Ok(Recovery {
        jobs,
        queued: tx.counts.queued,
    })
}

/// Reads one time; none when no row has one.
fn time(conn: &Connection, sql: &str) -> Result<Option<Timestamp>, StoreError> {
    let millis: Option<i64> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(millis.map(Timestamp::from_millis))
}

/// Finds jobs and puts them in their order; an `ORDER BY` would make SQLite scan the table.
fn seqs(
    conn: &Connection,
    sql: &str,
    params: &[(&str, &dyn rusqlite::ToSql)],
) -> Result<Vec<i64>, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map(params, |row| row.get(0))?;
    let mut seqs: Vec<i64> = found.collect::<rusqlite::Result<_>>()?;
    seqs.sort_unstable();
    Ok(seqs)
}
