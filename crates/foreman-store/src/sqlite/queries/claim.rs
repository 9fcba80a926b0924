//! Claims the next job: a few index probes, whatever the length of the queue.

use foreman_job::lifecycle::Event;
use foreman_job::{Choice, HeadJob, Priority, QueueHeads, RunnerKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::read;
use crate::sqlite::rows::{self, Change};
use crate::sqlite::writer::Tx;
use crate::{ClaimRequest, Claimed, SlotTaken, StoreError, transition};

pub(super) const SLOT: &str = "\
SELECT EXISTS (SELECT 1 FROM jobs WHERE slot = :slot)";

// The conditions are spelled as in the partial indexes, or SQLite would not use them. What has
// expired since the last look at the clock is passed over, and failed at the next one.
pub(super) const OLDEST: &str = "\
SELECT seq, priority, runner, created_at
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
ORDER BY priority, seq
LIMIT 1";

pub(super) const RESIDENT: &str = "\
SELECT seq, priority, runner, created_at
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
  AND runner = :runner AND priority = :priority
ORDER BY seq
LIMIT 1";

/// Claims the job that the policy names.
pub(in crate::sqlite) fn claim(
    tx: &mut Tx<'_>,
    wish: &ClaimRequest,
) -> Result<Option<Claimed>, StoreError> {
    if slot_is_taken(tx.conn, wish.slot)? {
        return Err(StoreError::Database(Box::new(SlotTaken(wish.slot))));
    }
    let Some(heads) = heads(tx.conn, &wish.resident, wish.now)? else {
        return Ok(None);
    };
    match (wish.choose)(&heads) {
        Some(choice) => take(tx, wish, choice).map(Some),
        None => Ok(None),
    }
}

/// Reads the heads of the ready queue; none when no job is ready.
pub(super) fn heads(
    conn: &Connection,
    resident: &[RunnerKey],
    now: Timestamp,
) -> Result<Option<QueueHeads>, StoreError> {
    let oldest = conn
        .prepare_cached(OLDEST)?
        .query_row(named_params! {":now": now.as_millis()}, head)
        .optional()?;
    let Some(oldest) = oldest else {
        return Ok(None);
    };
    let mut statement = conn.prepare_cached(RESIDENT)?;
    let mut heads = Vec::with_capacity(resident.len());
    for runner in resident {
        let found = statement
            .query_row(
                named_params! {
                    ":now": now.as_millis(),
                    ":runner": runner.as_str(),
                    ":priority": oldest.priority.rank(),
                },
                head,
            )
            .optional()?;
        heads.extend(found);
    }
    Ok(Some(QueueHeads {
        oldest,
        resident: heads,
    }))
}

fn take(tx: &mut Tx<'_>, wish: &ClaimRequest, choice: Choice) -> Result<Claimed, StoreError> {
    let before = rows::by_seq(tx.conn, choice.seq)?.ok_or(StoreError::NotFound)?;
    let job = transition::apply(&before, &Event::Claim, wish.now)?;
    let request = read::request_of(tx.conn, job.seq)?
        .ok_or_else(|| StoreError::Damaged(format!("job {} has no request", job.id)))?;
    let change = Change {
        now: wish.now,
        claim: Some((wish.slot, choice.reason)),
    };
    rows::write(tx.conn, &job, change)?;
    tx.moved(Some(before.progress.state), Some(job.progress.state));
    Ok(Claimed {
        job,
        reason: choice.reason,
        request,
    })
}

fn slot_is_taken(conn: &Connection, slot: u32) -> Result<bool, StoreError> {
    let taken = conn
        .prepare_cached(SLOT)?
        .query_row(named_params! {":slot": slot}, |row| row.get(0))?;
    Ok(taken)
}

fn head(row: &Row<'_>) -> rusqlite::Result<HeadJob> {
    let rank: i64 = row.get(1)?;
    let priority =
        Priority::from_rank(rank).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, rank))?;
    Ok(HeadJob {
        seq: row.get(0)?,
        priority,
        runner: RunnerKey::from_stored(row.get(2)?),
        created_at: Timestamp::from_millis(row.get(3)?),
    })
}
