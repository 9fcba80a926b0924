//! The written part of a job's log: many events in few rows.

use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobState};
use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::packing::{Packed, pack, unpack};
use crate::log::{Collector, Span};
use crate::sqlite::rows;
use crate::sqlite::writer::Tx;
use crate::{AnswerHead, FIRST_EVENT, LogEntry, LogEvent, LogGap, RunLog, Settlement, StoreError};

const INSERT: &str = "\
INSERT INTO job_events (seq, n, events, epoch, attempt, kinds, data)
VALUES (:seq, :n, :events, :epoch, :attempt, :kinds, :data)";

const INSERT_END: &str = "\
INSERT INTO job_ends (seq, n, events, epoch, attempt, kinds, data, status, headers)
VALUES (:seq, :n, :events, :epoch, :attempt, :kinds, :data, :status, :headers)";

// What a view of two tables is ordered by must be among what is read of it: so each of them is read
// in its order, and no further than need be.

pub(super) const LAST: &str = "\
SELECT n, events, epoch
FROM job_log
WHERE seq = :seq
ORDER BY n DESC
LIMIT 1";

/// Begins with the row that the wanted event is in.
pub(super) const READ: &str = "\
SELECT n, attempt, kinds, data
FROM job_log
WHERE seq = :seq
  AND n >= coalesce(
    (SELECT n FROM job_log WHERE seq = :seq AND n <= :next ORDER BY n DESC LIMIT 1), 0)
ORDER BY n";

pub(super) const OF_RUN: &str = "\
SELECT kinds, data, n
FROM job_log
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
    /// Of a log without events of any run.
    const NONE: Self = Self {
        n: FIRST_EVENT,
        epoch: None,
    };

    pub(super) const fn next(self) -> u64 {
        self.n.saturating_add(1)
    }
}

/// Finds where the log of a job ends.
pub(super) fn end(conn: &Connection, seq: i64) -> Result<End, StoreError> {
    let found: Option<(i64, i64, i64)> = conn
        .prepare_cached(LAST)?
        .query_row(named_params! {":seq": seq}, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    Ok(match found {
        Some((n, events, epoch)) => End {
            n: u64::try_from(n.saturating_add(events).saturating_sub(1)).map_err(|_| damaged())?,
            epoch: Some(Epoch::new(u64::try_from(epoch).map_err(|_| damaged())?)),
        },
        None => End::NONE,
    })
}

/// Finds the number that the next event of a job will have.
pub(super) fn next(tx: &mut Tx<'_>, job: &Job) -> Result<u64, StoreError> {
    if job.progress.epoch.get() == 0 {
        // Only runs have events.
        return Ok(FIRST_EVENT.saturating_add(1));
    }
    Ok(end(tx.conn()?, job.seq)?.next())
}

/// Adds events of a run; those that are there already are passed over. Returns the number of the
/// last one.
pub(super) fn append(conn: &Connection, run: Run, log: &RunLog) -> Result<u64, StoreError> {
    let (next, events) = rest(end(conn, run.seq)?, log)?;
    insert(conn, run, next, pack(events))
}

/// Ends the part of a run: the rest of it and the head of its answer where the job ended, else a
/// mark that it broke off. A job that is silent has logged nothing so far.
pub(super) fn settle(
    conn: &Connection,
    after: &Job,
    (run, is_silent): (Run, bool),
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let end = || {
        if is_silent {
            return Ok(End::NONE);
        }
        end(conn, run.seq)
    };
    if !after.progress.state.is_terminal() {
        return reset(conn, after);
    }
    let (next, events) = if let Some(log) = &settlement.log {
        rest(end()?, log)?
    } else {
        forget(conn, run.seq)?;
        (FIRST_EVENT.saturating_add(1), [].as_slice())
    };
    let head = settlement.outcome.answer().map(|answer| &answer.head);
    let mut packed = pack(events);
    match (packed.pop(), head) {
        (None, None) => Ok(()),
        (last, head) => {
            let next = insert(conn, run, next, packed)?.saturating_add(1);
            insert_end(conn, run, (next, last.unwrap_or_default()), head)
        }
    }
}

/// Returns the events of a run that are not written yet, and the number of the first of them.
fn rest(end: End, log: &RunLog) -> Result<(u64, &[LogEvent]), StoreError> {
    match log.from(end.next()) {
        Some(events) => Ok((end.next(), events)),
        None => Err(StoreError::Database(Box::new(LogGap {
            first: log.first,
            last: end.n,
        }))),
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
        insert(conn, Run::of(job), end.next(), pack(&events))?;
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

/// Writes rows, and returns the number of the last event in them.
fn insert(conn: &Connection, run: Run, first: u64, packed: Vec<Packed>) -> Result<u64, StoreError> {
    let mut statement = conn.prepare_cached(INSERT)?;
    let mut n = first;
    for row in packed {
        statement.execute(params![
            run.seq,
            rows::signed(n),
            rows::signed(row.events()),
            rows::signed(run.epoch.get()),
            run.attempt,
            row.kinds(),
            row.data,
        ])?;
        n = n.saturating_add(row.events());
    }
    Ok(n.saturating_sub(1))
}

/// Writes the last row of a log, with the number of its first event, and the head of the answer.
fn insert_end(
    conn: &Connection,
    run: Run,
    (n, row): (u64, Packed),
    head: Option<&AnswerHead>,
) -> Result<(), StoreError> {
    let headers = head.map(|head| rows::headers_to_text(&head.headers));
    conn.prepare_cached(INSERT_END)?.execute(params![
        run.seq,
        rows::signed(n),
        rows::signed(row.events()),
        rows::signed(run.epoch.get()),
        run.attempt,
        row.kinds(),
        row.data,
        head.map(|head| head.status),
        headers.transpose()?,
    ])?;
    Ok(())
}

fn damaged() -> StoreError {
    StoreError::Damaged("number of an event".to_owned())
}
