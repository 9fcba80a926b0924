//! How many jobs wait, and where one of them stands.

use foreman_job::{Job, JobState, Priority, RunnerKey, Timestamp};
use rusqlite::{Connection, named_params};

use super::heads;
use crate::depth::{Depths, Group};
use crate::{Standing, StoreError};

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

/// Counts the whole queue; done once, when the store is opened.
pub(in crate::sqlite) fn depths(conn: &Connection) -> Result<Depths, StoreError> {
    let mut depths = Depths::default();
    let mut statement = conn.prepare(DEPTHS)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let rank: i64 = row.get(2)?;
        let priority = Priority::from_rank(rank)
            .ok_or_else(|| StoreError::Damaged(format!("priority {rank} of a job")))?;
        let runner = RunnerKey::from_stored(row.get(1)?);
        let group = Group::new(row.get(0)?, runner, priority, row.get(3)?);
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
    let mut runners = Vec::new();
    for runner in heads::runners(&snapshot)? {
        runners.extend(heads::of_runner(&snapshot, &runner, job.priority, now)?);
    }
    runners.sort_unstable_by_key(|head| head.seq);
    Ok(Some(Standing {
        older: older(&snapshot, job)?,
        runners,
    }))
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
        older.push((row.get(0)?, jobs));
    }
    Ok(older)
}
