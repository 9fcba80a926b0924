//! How many jobs wait, and where one of them stands.

use std::borrow::Borrow;
use std::collections::btree_map::Entry;

use foreman_job::{HeadJob, Job, JobState, Priority, RunnerKey, Timestamp};
use rusqlite::{Connection, named_params};

use super::heads;
use crate::depth::{Depths, Group};
use crate::sqlite::rows;
use crate::{Standing, Standings, StoreError};

const DEPTHS: &str = "\
SELECT model, runner, priority, caller, count(*)
FROM jobs
WHERE state = 'queued'
GROUP BY model, runner, priority, caller";

/// Reads the index only; the plus sign keeps SQLite from one that it would have to sort.
pub(super) const OLDER: &str = "\
SELECT caller, count(*)
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL
  AND runner = :runner AND priority = :priority AND +seq < :seq
GROUP BY caller";

/// Counts from the newer end.
pub(super) const NEWER: &str = "\
SELECT count(*)
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL
  AND runner = :runner AND priority = :priority AND caller IS :caller AND seq >= :seq";

const ANY_RESTS: &str = "\
SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND retry_at IS NOT NULL)";

/// Counts the whole queue; done once, when the store is opened.
pub(in crate::sqlite) fn depths(conn: &Connection) -> Result<Depths, StoreError> {
    let mut depths = Depths::default();
    let mut statement = conn.prepare(DEPTHS)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let rank: i64 = row.get(2)?;
        let priority = Priority::from_rank(rank)
            .ok_or_else(|| StoreError::Damaged(format!("priority {rank} of a job")))?;
        let runner = RunnerKey::from_stored(rows::text(row, 1)?);
        let caller = rows::maybe_text(row, 3)?;
        let group = Group::new(rows::text(row, 0)?, runner, priority, caller);
        depths.add(
            group,
            u64::try_from(row.get::<_, i64>(4)?).unwrap_or_default(),
        );
    }
    Ok(depths)
}

/// Reads where a ready job stands; none when it is not ready.
pub(in crate::sqlite) fn standing(
    conn: &Connection,
    job: &Job,
    now: Timestamp,
) -> Result<Option<Standing>, StoreError> {
    if job.progress.state != JobState::Queued || job.progress.retry_at.is_some() {
        return Ok(None);
    }
    // All from one snapshot.
    let snapshot = conn.unchecked_transaction()?;
    Ok(Some(Standing {
        older: older(&snapshot, job)?,
        runners: runners(&snapshot, job.priority, now)?,
    }))
}

/// Reads where each of several jobs stands; `depths` is as of a moment before.
pub(in crate::sqlite) fn standings(
    conn: &Connection,
    depths: &Depths,
    jobs: &[Job],
    now: Timestamp,
) -> Result<Standings, StoreError> {
    // All from one snapshot.
    let snapshot = conn.unchecked_transaction()?;
    let mut standings = Standings::default();
    let any_rests: bool = snapshot
        .prepare_cached(ANY_RESTS)?
        .query_row([], |row| row.get(0))?;
    for job in jobs {
        if job.progress.state != JobState::Queued || job.progress.retry_at.is_some() {
            standings.older.push(None);
            continue;
        }
        if let Entry::Vacant(class) = standings.runners.entry(job.priority) {
            // Those that jobs wait for are known: none need be looked for.
            let known = depths.runners(job.priority);
            class.insert(oldest_of(&snapshot, known, job.priority, now)?);
        }
        // What rests is counted in the depths, and stands nowhere.
        let older = if any_rests {
            older(&snapshot, job)?
        } else {
            not_newer(&snapshot, depths, job)?
        };
        standings.older.push(Some(older));
    }
    Ok(standings)
}

/// Reads the oldest ready job of a class for each runner, the oldest first.
fn runners(conn: &Connection, class: Priority, now: Timestamp) -> Result<Vec<HeadJob>, StoreError> {
    oldest_of(conn, heads::runners(conn)?, class, now)
}

fn oldest_of(
    conn: &Connection,
    runners: impl IntoIterator<Item: Borrow<RunnerKey>>,
    class: Priority,
    now: Timestamp,
) -> Result<Vec<HeadJob>, StoreError> {
    let mut found = Vec::new();
    for runner in runners {
        found.extend(heads::of_runner(conn, runner.borrow(), class, now)?);
    }
    found.sort_unstable_by_key(|head| head.seq);
    Ok(found)
}

/// Counts the older jobs as all but the newer ones: jobs that are asked about are mostly new.
fn not_newer(
    conn: &Connection,
    depths: &Depths,
    job: &Job,
) -> Result<Vec<(Option<String>, u64)>, StoreError> {
    let mut statement = conn.prepare_cached(NEWER)?;
    let mut older = Vec::new();
    for (caller, all) in depths.of_runner(job.priority, &job.runner) {
        let newer: i64 = statement.query_row(
            named_params! {
                ":runner": job.runner.as_str(),
                ":priority": job.priority.rank(),
                ":caller": caller,
                ":seq": job.seq,
            },
            |row| row.get(0),
        )?;
        let jobs = all.saturating_sub(u64::try_from(newer).unwrap_or_default());
        if jobs > 0 {
            older.push((caller.map(str::to_owned), jobs));
        }
    }
    Ok(older)
}

fn older(conn: &Connection, job: &Job) -> Result<Vec<(Option<String>, u64)>, StoreError> {
    let mut statement = conn.prepare_cached(OLDER)?;
    let mut found = statement.query(named_params! {
        ":runner": job.runner.as_str(),
        ":priority": job.priority.rank(),
        ":seq": job.seq,
    })?;
    let mut older = Vec::new();
    while let Some(row) = found.next()? {
        let jobs = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
        older.push((rows::maybe_text(row, 0)?, jobs));
    }
    Ok(older)
}
