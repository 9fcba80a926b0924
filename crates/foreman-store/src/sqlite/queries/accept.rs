//! Makes a request a job.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Statement, ToSql, named_params};

use super::line;
use crate::sqlite::rows;
use crate::sqlite::writer::Tx;
use crate::{Accepted, IdempotencyKey, NewJob, StoreError, TakenId};

pub(super) const FIND_KEY: &str = "\
SELECT seq, request_hash
FROM jobs
WHERE idem_scope = :scope AND idem_key = :key";

/// Rows of one statement where there are many. What a statement costs by itself, above all to enter
/// the trigger, is then shared by them.
const ROWS: usize = 16;

/// A row that is refused is refused before anything is written. Said so (`OR FAIL`), SQLite keeps no
/// copies of the pages to undo half of it.
const INSERT_JOB: (&str, &str) = (
    "\
INSERT OR FAIL INTO jobs (
  seq, id, endpoint, model, runner, priority, retry_at, not_before, expires_at,
  created_at, caller, idem_scope, idem_key, request_hash, retry_of, metadata, state)
VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued')",
);

const INSERT_REQUEST: (&str, &str) = (
    "\
INSERT OR FAIL INTO job_requests (seq, headers, body)
VALUES ",
    "(?, ?, ?)",
);

/// The statements of one row, and of many.
static INSERT_JOBS: LazyLock<[String; 2]> = LazyLock::new(|| statements(INSERT_JOB));
static INSERT_REQUESTS: LazyLock<[String; 2]> = LazyLock::new(|| statements(INSERT_REQUEST));

fn statements((head, row): (&str, &str)) -> [String; 2] {
    [1, ROWS].map(|rows| format!("{head}{}", vec![row; rows].join(", ")))
}

/// A job at its place.
type Placed<'n> = (i64, &'n NewJob);

/// Makes a request a job, or finds the one that it made before.
pub(in crate::sqlite) fn accept(tx: &mut Tx<'_>, new: &NewJob) -> Result<Accepted, StoreError> {
    let accepted = enter(tx, new)?;
    if let Accepted::New { seq } = accepted {
        insert(tx.conn_for_new(), &[(seq, new)])?;
    }
    Ok(accepted)
}

/// Makes several requests jobs, in their order.
///
/// One that is refused without having changed anything says so by itself; anything else concerns
/// all of them.
pub(in crate::sqlite) fn accept_all(
    tx: &mut Tx<'_>,
    jobs: &[NewJob],
) -> Result<Vec<Result<Accepted, StoreError>>, StoreError> {
    let mut each = Vec::with_capacity(jobs.len());
    let mut placed: Vec<Placed<'_>> = Vec::with_capacity(jobs.len());
    for new in jobs {
        let entered = match enter(tx, new) {
            Ok(accepted) => Ok(accepted),
            Err(error @ (StoreError::IdempotencyMismatch | StoreError::QueueFull { .. })) => {
                Err(error)
            }
            Err(error) => return Err(error),
        };
        if let Ok(Accepted::New { seq }) = entered {
            placed.push((seq, new));
        }
        each.push(entered);
    }
    let (many, few) = placed.as_chunks::<ROWS>();
    for rows in many {
        insert(tx.conn_for_new(), rows)?;
    }
    for row in few {
        insert(tx.conn_for_new(), std::slice::from_ref(row))?;
    }
    Ok(each)
}

/// Gives a new job its place, and counts it. What is written of it is left to [`insert`]; until
/// then a key that comes a second time is not found, and refused by it.
fn enter(tx: &mut Tx<'_>, new: &NewJob) -> Result<Accepted, StoreError> {
    if let Some(key) = &new.idempotency
        && let Some(seq) = find(tx.conn()?, key)?
    {
        let existing = rows::by_seq(tx.conn()?, seq)?.ok_or(StoreError::NotFound)?;
        return Ok(Accepted::Existing(Box::new(existing)));
    }
    new.check_room(tx.counts.queued)?;
    tx.admit(size(new))?;
    let seq = tx.give_place();
    if new.rests_until().is_none() {
        tx.accepted(new.created_at);
    }
    line::came(tx, new, seq);
    Ok(Accepted::New { seq })
}

/// How much room a new job takes, roughly.
pub(in crate::sqlite) fn size(new: &NewJob) -> u64 {
    /// Two rows and their index entries.
    const ROWS: u64 = 1024;
    let metadata = new.metadata.as_ref().map_or(0, String::len);
    let size = new.request.body.len().saturating_add(metadata);
    u64::try_from(size).unwrap_or(u64::MAX).saturating_add(ROWS)
}

fn find(conn: &Connection, key: &IdempotencyKey) -> Result<Option<i64>, StoreError> {
    let found: Option<(i64, [u8; 32])> = conn
        .prepare_cached(FIND_KEY)?
        .query_row(
            named_params! {":scope": key.scope, ":key": key.key},
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    match found {
        Some((_, hash)) if hash != key.request_hash => Err(StoreError::IdempotencyMismatch),
        Some((seq, _)) => Ok(Some(seq)),
        None => Ok(None),
    }
}

/// Writes one job, or [`ROWS`] of them.
fn insert(conn: &Connection, jobs: &[Placed<'_>]) -> Result<(), StoreError> {
    let [one, many] = &*INSERT_JOBS;
    let mut statement = conn.prepare_cached(if jobs.len() == 1 { one } else { many })?;
    let mut binding = Binding::of(&mut statement);
    for (seq, new) in jobs {
        binding.job(*seq, new)?;
    }
    if let Err(error) = statement.raw_execute() {
        return Err(refusal(conn, jobs, error));
    }
    let [one, many] = &*INSERT_REQUESTS;
    let mut statement = conn.prepare_cached(if jobs.len() == 1 { one } else { many })?;
    let mut binding = Binding::of(&mut statement);
    for (seq, new) in jobs {
        binding.request(*seq, new)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// Says why a job was not written; of several it may be any.
fn refusal(conn: &Connection, jobs: &[Placed<'_>], error: rusqlite::Error) -> StoreError {
    match jobs {
        [(_, new)] if rows::seq_of(conn, new.id).is_ok_and(|seq| seq.is_some()) => {
            StoreError::Database(Box::new(TakenId(new.id)))
        }
        _ => error.into(),
    }
}

/// Fills the places of a statement from left to right.
struct Binding<'s, 'c> {
    statement: &'s mut Statement<'c>,
    next: usize,
}

impl<'s, 'c> Binding<'s, 'c> {
    fn of(statement: &'s mut Statement<'c>) -> Self {
        Self { statement, next: 0 }
    }

    fn value(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.next = self.next.saturating_add(1);
        self.statement.raw_bind_parameter(self.next, value)
    }

    /// In the order in which the statement names them.
    fn job(&mut self, seq: i64, new: &NewJob) -> rusqlite::Result<()> {
        let key = new.idempotency.as_ref();
        self.value(seq)?;
        self.value(new.id.to_string())?;
        self.value(new.endpoint.path())?;
        self.value(&new.model)?;
        self.value(new.runner.as_str())?;
        self.value(new.priority.rank())?;
        self.value(rows::millis(new.rests_until()))?;
        self.value(rows::millis(new.not_before))?;
        self.value(rows::millis(new.expires_at))?;
        self.value(new.created_at.as_millis())?;
        self.value(&new.caller)?;
        self.value(key.map(|key| key.scope.as_str()))?;
        self.value(key.map(|key| key.key.as_str()))?;
        self.value(key.map(|key| key.request_hash.as_slice()))?;
        self.value(new.retry_of.map(|id| id.to_string()))?;
        self.value(&new.metadata)
    }

    fn request(&mut self, seq: i64, new: &NewJob) -> Result<(), StoreError> {
        self.value(seq)?;
        self.value(rows::headers_to_text(&new.request.headers)?)?;
        self.value(new.request.body.as_ref())?;
        Ok(())
    }
}
