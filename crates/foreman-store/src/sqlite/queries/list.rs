//! Lists jobs, a page at a time.

use foreman_job::{Endpoint, JobState};
use rusqlite::{Connection, OptionalExtension, named_params};

use crate::sqlite::rows;
use crate::{JobFilter, JobList, StoreError};

/// How many jobs a search looks at. Of a million jobs, a page of rare ones is then as soon read as
/// one of frequent ones; the rest is found by those who go on.
const AT_ONCE: u32 = 20_000;

/// The pages go by the primary key, so that none depends on those before it.
pub(super) const PAGE: &str = "\
SELECT seq, model
FROM jobs
WHERE seq < :before AND seq > :floor
  AND (:state IS NULL OR state = :state)
  AND (:endpoint IS NULL OR endpoint = :endpoint)
  AND (:caller IS NULL OR caller = :caller)
ORDER BY seq DESC";

/// The first job that is not looked at any more.
pub(super) const FLOOR: &str = "\
SELECT seq
FROM jobs
WHERE seq < :before
ORDER BY seq DESC
LIMIT 1 OFFSET :at_once";

/// Reads a page, the last accepted first, all of it from one snapshot.
pub(in crate::sqlite) fn list(
    conn: &Connection,
    filter: &JobFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<JobList, StoreError> {
    within(conn, filter, (before.unwrap_or(i64::MAX), AT_ONCE), limit)
}

/// Reads a page from so many jobs before a place.
fn within(
    conn: &Connection,
    filter: &JobFilter,
    (before, at_once): (i64, u32),
    limit: usize,
) -> Result<JobList, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let floor = floor(&snapshot, before, at_once)?;
    let places = places(&snapshot, filter, (floor.unwrap_or(0), before), limit)?;
    let mut jobs = Vec::with_capacity(places.len());
    for seq in places {
        jobs.extend(rows::by_seq(&snapshot, seq)?);
    }
    snapshot.finish()?;
    let is_full = jobs.len() >= limit;
    let rest = floor.filter(|_| !is_full).map(|seq| seq.saturating_add(1));
    Ok(JobList { jobs, rest })
}

fn floor(conn: &Connection, before: i64, at_once: u32) -> Result<Option<i64>, StoreError> {
    let params = named_params! {":before": before, ":at_once": at_once};
    let floor = conn
        .prepare_cached(FLOOR)?
        .query_row(params, |row| row.get(0))
        .optional()?;
    Ok(floor)
}

fn places(
    conn: &Connection,
    filter: &JobFilter,
    (floor, before): (i64, i64),
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    let mut places = Vec::new();
    let mut statement = conn.prepare_cached(PAGE)?;
    let mut found = statement.query(named_params! {
        ":before": before,
        ":floor": floor,
        ":state": filter.state.map(JobState::as_str),
        ":endpoint": filter.endpoint.map(Endpoint::path),
        ":caller": filter.caller,
    })?;
    while places.len() < limit {
        let Some(row) = found.next()? else { break };
        let model = rows::text(row, 1)?;
        if filter.model.as_ref().is_none_or(|wanted| wanted(&model)) {
            places.push(row.get(0)?);
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A table of so many jobs that wait, every hundredth for a rare model and of a rare caller.
    fn table(jobs: i64) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../../../../../migrations/0001_jobs.sql"))
            .unwrap();
        conn.execute(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO jobs (id, endpoint, model, runner, state, priority, created_at, caller)
             SELECT printf('01J9Z3N6T5Q8W0V2X4%08d', n), '/api/chat',
               iif(n % 100 = 0, 'rare', 'often'), 'r', 'queued', 1, n,
               iif(n % 100 = 0, 'rare', 'often')
             FROM n",
            [jobs],
        )
        .unwrap();
        conn
    }

    fn of_caller(caller: &str) -> JobFilter {
        JobFilter {
            caller: Some(caller.to_owned()),
            ..JobFilter::default()
        }
    }

    fn seqs(list: &JobList) -> Vec<i64> {
        list.jobs.iter().map(|job| job.seq).collect()
    }

    #[test]
    fn a_search_that_looked_at_enough_tells_where_to_go_on_and_misses_nothing() {
        let conn = table(1000);
        let by_model = JobFilter {
            model: Some(Arc::new(|model: &str| model == "rare")),
            ..JobFilter::default()
        };
        for filter in [of_caller("rare"), by_model] {
            let (mut found, mut before, mut pages) = (Vec::new(), i64::MAX, 0);
            loop {
                let page = within(&conn, &filter, (before, 30), 5).unwrap();
                found.extend(seqs(&page));
                pages += 1;
                let Some(rest) = page.rest else { break };
                before = rest;
            }

            assert_eq!(pages, 34, "thirty jobs a page");
            assert_eq!(found, (1..=10).rev().map(|n| n * 100).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_full_page_and_the_last_one_have_no_rest() {
        let conn = table(100);

        let full = within(&conn, &of_caller("often"), (i64::MAX, 30), 5).unwrap();
        let last = within(&conn, &of_caller("often"), (4, 30), 5).unwrap();

        assert_eq!((seqs(&full), full.rest), (vec![99, 98, 97, 96, 95], None));
        assert_eq!((seqs(&last), last.rest), (vec![3, 2, 1], None));
    }
}
