//! How many jobs wait, and where some of them stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreman_job::Timestamp;
use rusqlite::{Connection, Row, named_params};

use super::line;
use crate::depth::{Depths, Group, Head, Old, Sketch, Spot};
use crate::{ByCaller, Standings, StoreError};

/// Reads the index from its beginning to its end, and nothing else.
pub(super) const READY: &str = "\
SELECT model, runner, priority, caller, count(*), min(seq)
FROM jobs INDEXED BY jobs_line
WHERE state = 'queued' AND retry_at IS NULL
GROUP BY runner, priority, caller, model";

const RESTING: &str = "\
SELECT model, runner, priority, caller, count(*)
FROM jobs INDEXED BY jobs_due
WHERE state = 'queued' AND retry_at IS NOT NULL
GROUP BY runner, priority, caller, model";

const TIMES: &str = "\
SELECT seq, created_at, expires_at
FROM jobs
WHERE seq = :seq";

const LATEST: &str = "\
SELECT max(
  coalesce((SELECT max(seq) FROM jobs), 0),
  coalesce((SELECT max(seq) FROM last_gone), 0))";

/// Counts from the newer end.
pub(super) const NEWER: &str = "\
SELECT count(*)
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL
  AND runner = :runner AND priority = :priority AND caller IS :caller AND model = :model
  AND seq >= :seq";

/// Counts the whole queue; done once, when the store is opened.
pub(in crate::sqlite) fn depths(conn: &Connection) -> Result<Depths, StoreError> {
    let latest = conn.query_row(LATEST, [], |row| row.get(0))?;
    let mut depths = Depths::after(latest);
    let mut ready = conn.prepare(READY)?;
    let mut found = ready.query([])?;
    let mut times = conn.prepare(TIMES)?;
    while let Some(row) = found.next()? {
        let first: i64 = row.get(5)?;
        let first: Spot =
            times.query_row(named_params! {":seq": first}, |row| line::spot(row, 0))?;
        depths.add_ready(&Arc::new(line::group(row)?), jobs(row)?, first);
    }
    let mut resting = conn.prepare(RESTING)?;
    let mut found = resting.query([])?;
    while let Some(row) = found.next()? {
        depths.add(&Arc::new(line::group(row)?), jobs(row)?);
    }
    Ok(depths)
}

/// Looks for what the counts do not say of where jobs stand.
pub(in crate::sqlite) fn complete(
    conn: &Connection,
    mut sketch: Sketch,
    now: Timestamp,
) -> Result<Standings, StoreError> {
    // All from one snapshot.
    let snapshot = conn.unchecked_transaction()?;
    for group in std::mem::take(&mut sketch.unknown) {
        if let Some(spot) = line::first(&snapshot, &group, Some(now))? {
            let group = &group;
            sketch.add_first(Head { spot, group }.to_job(now));
        }
    }
    for old in std::mem::take(&mut sketch.old) {
        let older = not_newer(&snapshot, &old)?;
        sketch.add_older(old.number, older);
    }
    sketch.standings.place();
    Ok(sketch.standings)
}

/// Counts the older jobs as all but the newer ones: jobs that are asked about are mostly new.
fn not_newer(conn: &Connection, old: &Old) -> Result<ByCaller, StoreError> {
    let mut older: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for (group, ready) in &old.lines {
        let jobs = ready.saturating_sub(newer(conn, group, old.seq)?);
        if jobs > 0 {
            let count = older.entry(group.caller.clone()).or_default();
            *count = count.saturating_add(jobs);
        }
    }
    Ok(older.into_iter().collect())
}

fn newer(conn: &Connection, group: &Group, seq: i64) -> Result<u64, StoreError> {
    let params = named_params! {
        ":runner": group.runner.as_str(),
        ":priority": group.priority.rank(),
        ":caller": group.caller,
        ":model": group.model,
        ":seq": seq,
    };
    let mut statement = conn.prepare_cached(NEWER)?;
    let newer: i64 = statement.query_row(params, |row| row.get(0))?;
    Ok(u64::try_from(newer).unwrap_or_default())
}

fn jobs(row: &Row<'_>) -> rusqlite::Result<u64> {
    let jobs: i64 = row.get(4)?;
    Ok(u64::try_from(jobs).unwrap_or_default())
}
