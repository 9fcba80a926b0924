//! Lists jobs, a page at a time.

use foreman_job::{Endpoint, Job, JobState};
use rusqlite::{Connection, named_params};

use crate::sqlite::rows;
use crate::{JobFilter, StoreError};

/// The pages go by the primary key, so that none depends on those before it.
pub(super) const PAGE: &str = "\
SELECT seq, model
FROM jobs
WHERE seq < :before
  AND (:state IS NULL OR state = :state)
  AND (:endpoint IS NULL OR endpoint = :endpoint)
  AND (:caller IS NULL OR caller = :caller)
ORDER BY seq DESC";

/// Reads a page, the last accepted first, all of it from one snapshot.
pub(in crate::sqlite) fn list(
    conn: &Connection,
    filter: &JobFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Job>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let mut jobs = Vec::new();
    for seq in places(&snapshot, filter, before, limit)? {
        jobs.extend(rows::by_seq(&snapshot, seq)?);
    }
    snapshot.finish()?;
    Ok(jobs)
}

fn places(
    conn: &Connection,
    filter: &JobFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    let mut places = Vec::new();
    let mut statement = conn.prepare_cached(PAGE)?;
    let mut found = statement.query(named_params! {
        ":before": before.unwrap_or(i64::MAX),
        ":state": filter.state.map(JobState::as_str),
        ":endpoint": filter.endpoint.map(Endpoint::path),
        ":caller": filter.caller,
    })?;
    while places.len() < limit {
        let Some(row) = found.next()? else { break };
        let model: String = row.get(1)?;
        if filter.model.as_ref().is_none_or(|wanted| wanted(&model)) {
            places.push(row.get(0)?);
        }
    }
    Ok(places)
}
