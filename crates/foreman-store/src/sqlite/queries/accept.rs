//! Makes a request a job.

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::line;
use crate::sqlite::rows;
use crate::sqlite::writer::Tx;
use crate::{Accepted, IdempotencyKey, NewJob, StoreError, TakenId};

pub(super) const FIND_KEY: &str = "\
SELECT seq, request_hash
FROM jobs
WHERE idem_scope = :scope AND idem_key = :key";

/// A row that is refused is refused before anything is written. Said so (`OR FAIL`), SQLite keeps no
/// copies of the pages to undo half of it.
const INSERT_JOB: &str = "\
INSERT OR FAIL INTO jobs (
  seq, id, endpoint, model, runner, state, priority, retry_at, not_before, expires_at,
  created_at, caller, idem_scope, idem_key, request_hash, retry_of, metadata)
VALUES (:seq, :id, :endpoint, :model, :runner, 'queued', :priority, :retry_at, :not_before, :expires_at,
        :created_at, :caller, :scope, :key, :hash, :retry_of, :metadata)";

const INSERT_REQUEST: &str = "\
INSERT OR FAIL INTO job_requests (seq, headers, body)
VALUES (:seq, :headers, :body)";

/// Makes a request a job, or finds the one that it made before.
pub(in crate::sqlite) fn accept(tx: &mut Tx<'_>, new: &NewJob) -> Result<Accepted, StoreError> {
    if let Some(key) = &new.idempotency
        && let Some(seq) = find(tx.conn, key)?
    {
        let existing = rows::by_seq(tx.conn, seq)?.ok_or(StoreError::NotFound)?;
        return Ok(Accepted::Existing(Box::new(existing)));
    }
    new.check_room(tx.counts.queued)?;
    tx.admit(size(new))?;
    let seq = tx.give_place();
    insert(tx.conn, seq, new)?;
    let headers = rows::headers_to_text(&new.request.headers)?;
    tx.conn.prepare_cached(INSERT_REQUEST)?.execute(params![
        seq,
        headers,
        new.request.body.as_ref()
    ])?;
    if new.rests_until().is_none() {
        tx.accepted(new.created_at);
    }
    line::came(tx, new, seq);
    Ok(Accepted::New { seq })
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
    for new in jobs {
        each.push(match accept(tx, new) {
            Ok(accepted) => Ok(accepted),
            Err(error @ (StoreError::IdempotencyMismatch | StoreError::QueueFull { .. })) => {
                Err(error)
            }
            Err(error) => return Err(error),
        });
    }
    Ok(each)
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

fn insert(conn: &Connection, seq: i64, new: &NewJob) -> Result<(), StoreError> {
    let key = new.idempotency.as_ref();
    // In the order in which the statement names them: to look up sixteen names costs as much as
    // to write one of the indexes.
    let inserted = conn.prepare_cached(INSERT_JOB)?.execute(params![
        seq,
        new.id.to_string(),
        new.endpoint.path(),
        new.model,
        new.runner.as_str(),
        new.priority.rank(),
        rows::millis(new.rests_until()),
        rows::millis(new.not_before),
        rows::millis(new.expires_at),
        new.created_at.as_millis(),
        new.caller,
        key.map(|key| key.scope.as_str()),
        key.map(|key| key.key.as_str()),
        key.map(|key| key.request_hash.as_slice()),
        new.retry_of.map(|id| id.to_string()),
        new.metadata,
    ]);
    match inserted {
        Ok(_) => Ok(()),
        Err(_) if rows::seq_of(conn, new.id).is_ok_and(|seq| seq.is_some()) => {
            Err(StoreError::Database(Box::new(TakenId(new.id))))
        }
        Err(error) => Err(error.into()),
    }
}
