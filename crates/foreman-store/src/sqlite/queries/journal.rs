//! The written part of a job's log: many events in few rows.

use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobState};
use rusqlite::{Connection, OptionalExtension, named_params};

use super::packing::{pack, unpack};
use crate::log::{Collector, Span};
use crate::sqlite::rows;
use crate::{FIRST_EVENT, LogEntry, LogEvent, LogGap, RunLog, StoreError};

const INSERT: &str = "\
INSERT INTO job_events (seq, n, events, epoch, attempt, kinds, data)
VALUES (:seq, :n, :events, :epoch, :attempt, :kinds, :data)";

const LAST: &str = "\
SELECT n + events - 1, epoch
FROM job_events
WHERE seq = :seq
ORDER BY n DESC
LIMIT 1";

/// Begins with the row that the wanted event is in.
const READ: &str = "\
SELECT n, attempt, kinds, data
FROM job_events
WHERE seq = :seq
  AND n >= coalesce((SELECT max(n) FROM job_events WHERE seq = :seq AND n <= :next), 0)
ORDER BY n";

const OF_RUN: &str = "\
SELECT kinds, data
FROM job_events
WHERE seq = :seq AND epoch = :epoch
ORDER BY n";

const FORGET: &str = "\
DELETE FROM job_events
WHERE seq = :seq";

/// Where a log ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// The number of its last event.
    pub(super) n: u64,
    /// The run of that event; none when no run has logged anything.
    epoch: Option<Epoch>,
}

/// Whose events they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) seq: i64,
    pub(super) epoch: Epoch,
    /// Attempts that had failed before.
    pub(super) attempt: u32,
}

impl Run {
    /// The present run of a job, or its last one.
    pub(super) const fn of(job: &Job) -> Self {
        Self {
            seq: job.seq,
            epoch: job.progress.epoch,
            attempt: job.progress.attempt,
        }
    }
}

impl End {
    pub(super) const fn next(self) -> u64 {
        self.n.saturating_add(1)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.epoch.is_none()
    }
}

/// Finds where the log of a job ends.
pub(super) fn end(conn: &Connection, seq: i64) -> Result<End, StoreError> {
    let found: Option<(i64, i64)> = conn
        .prepare_cached(LAST)?
        .query_row(named_params! {":seq": seq}, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match found {
        Some((n, epoch)) => End {
            n: u64::try_from(n).map_err(|_| damaged())?,
            epoch: Some(Epoch::new(u64::try_from(epoch).map_err(|_| damaged())?)),
        },
        None => End {
            n: FIRST_EVENT,
            epoch: None,
        },
    })
}

/// Adds events of a run; those that are there already are passed over. Returns the number of the
/// last one.
pub(super) fn append(conn: &Connection, run: Run, log: &RunLog) -> Result<u64, StoreError> {
    let end = end(conn, run.seq)?;
    let Some(events) = log.from(end.next()) else {
        return Err(StoreError::Database(Box::new(LogGap {
            first: log.first,
            last: end.n,
        })));
    };
    insert(conn, run, end.next(), events)
}

/// Ends the part of a run: the rest of it where the job ended, else a mark that it broke off.
pub(super) fn settle(
    conn: &Connection,
    after: &Job,
    run: Run,
    log: Option<&RunLog>,
) -> Result<(), StoreError> {
    match (after.progress.state.is_terminal(), log) {
        (true, Some(log)) => append(conn, run, log).map(|_| ()),
        (true, None) => forget(conn, after.seq),
        (false, _) => reset(conn, after),
    }
}

/// Notes that a run broke off, if anything of it was logged and the job goes on.
pub(super) fn reset(conn: &Connection, job: &Job) -> Result<(), StoreError> {
    if job.progress.state != JobState::Queued {
        return Ok(());
    }
    let end = end(conn, job.seq)?;
    if end.epoch == Some(job.progress.epoch) {
        let events = [LogEvent::Reset, LogEvent::State(JobState::Queued)];
        insert(conn, Run::of(job), end.next(), &events)?;
    }
    Ok(())
}

/// Reads a part of a log.
pub(super) fn read(conn: &Connection, seq: i64, span: Span) -> Result<Vec<LogEntry>, StoreError> {
    let mut collector = Collector::new(span);
    let mut statement = conn.prepare_cached(READ)?;
    let mut found =
        statement.query(named_params! {":seq": seq, ":next": rows::signed(span.next())})?;
    while let Some(row) = found.next()? {
        if collector.is_full() {
            break;
        }
        let first: i64 = row.get(0)?;
        let attempt = row.get(1)?;
        let mut n = u64::try_from(first).map_err(|_| damaged())?;
        for event in unpack(&row.get::<_, String>(2)?, row.get(3)?)? {
            collector.take(LogEntry { n, attempt, event });
            n = n.saturating_add(1);
        }
    }
    Ok(collector.into_entries())
}

/// Reads all events of one run.
pub(super) fn of_run(
    conn: &Connection,
    seq: i64,
    epoch: Epoch,
) -> Result<Vec<LogEvent>, StoreError> {
    let mut events = Vec::new();
    let mut statement = conn.prepare_cached(OF_RUN)?;
    let mut found =
        statement.query(named_params! {":seq": seq, ":epoch": rows::signed(epoch.get())})?;
    while let Some(row) = found.next()? {
        events.append(&mut unpack(&row.get::<_, String>(0)?, row.get(1)?)?);
    }
    Ok(events)
}

fn forget(conn: &Connection, seq: i64) -> Result<(), StoreError> {
    conn.prepare_cached(FORGET)?
        .execute(named_params! {":seq": seq})?;
    Ok(())
}

fn insert(conn: &Connection, run: Run, first: u64, events: &[LogEvent]) -> Result<u64, StoreError> {
    let mut statement = conn.prepare_cached(INSERT)?;
    let mut n = first;
    for row in pack(events) {
        statement.execute(named_params! {
            ":seq": run.seq,
            ":n": rows::signed(n),
            ":events": rows::signed(row.events()),
            ":epoch": rows::signed(run.epoch.get()),
            ":attempt": run.attempt,
            ":kinds": row.kinds()?,
            ":data": row.data,
        })?;
        n = n.saturating_add(row.events());
    }
    Ok(n.saturating_sub(1))
}

fn damaged() -> StoreError {
    StoreError::Damaged("number of an event".to_owned())
}
