//! The lines of the queue as the table has them, and who is first in each.

use std::sync::Arc;

use foreman_job::{Job, JobState, Priority, RunnerKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::depth::{First, Group, Member, Move, Spot};
use crate::sqlite::rows;
use crate::sqlite::writer::Tx;
use crate::{NewJob, StoreError};

// The conditions are spelled as in the partial index, or SQLite would not use it. What has expired
// since the last look at the clock is passed over, and failed at the next one.
pub(super) const FIRST: &str = "\
SELECT seq, created_at, expires_at
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
  AND runner = :runner AND priority = :priority AND caller IS :caller AND model = :model
ORDER BY seq
LIMIT 1";

/// Notes a new job.
pub(super) fn came(tx: &mut Tx<'_>, new: &NewJob, seq: i64) {
    tx.moved(None, Some(JobState::Queued));
    let group = tx.depths().group_of(new);
    tx.queue_moved(Move::In(group, Member::of_new(new, seq)));
}

/// Notes a change of a job, once it is written.
pub(super) fn changed(tx: &mut Tx<'_>, before: &Job, after: &Job) -> Result<(), StoreError> {
    let (from, to) = (before.progress.state, after.progress.state);
    tx.moved(Some(from), Some(to));
    let (left, came) = (member(before), member(after));
    if left == came {
        return Ok(());
    }
    if let Some(member) = left {
        let group = tx.depths().group_of(before);
        leave(tx, group, member)?;
    }
    if let Some(member) = came {
        let group = tx.depths().group_of(after);
        tx.queue_moved(Move::In(group, member));
    }
    Ok(())
}

/// Notes a change of the first job of a line whose row is damaged: what it says of its line may not
/// be what it said before.
pub(super) fn damaged(tx: &mut Tx<'_>, before: &Job, after: &Job) -> Result<(), StoreError> {
    tx.moved(Some(before.progress.state), Some(after.progress.state));
    forget_first(tx, before.seq).map(|_| ())
}

/// Takes a job for gone if it is the first of a line, and tells whether it was.
pub(super) fn forget_first(tx: &mut Tx<'_>, seq: i64) -> Result<bool, StoreError> {
    let Some((group, member)) = tx.depths().led_by(seq) else {
        return Ok(false);
    };
    leave(tx, group, member)?;
    Ok(true)
}

fn leave(tx: &mut Tx<'_>, group: Arc<Group>, member: Member) -> Result<(), StoreError> {
    let next = match tx.depths().next(&group, member) {
        First::At(spot) => Some(spot),
        First::Nobody => None,
        First::Unknown => first(tx.conn()?, &group, None)?,
    };
    tx.queue_moved(Move::Out(group, member, next));
    Ok(())
}

/// Looks who is first in lines of which that is not known.
pub(super) fn look(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let mut found = Vec::new();
    for group in tx.depths_mut().take_unknown() {
        found.push((first(tx.conn()?, &group, None), group));
    }
    for (first, group) in found {
        tx.depths_mut().find(&group, first?);
    }
    Ok(())
}

/// Reads the first ready job of a line; of those that have not expired where a time is given.
pub(super) fn first(
    conn: &Connection,
    group: &Group,
    now: Option<Timestamp>,
) -> Result<Option<Spot>, StoreError> {
    let params = named_params! {
        ":now": rows::millis(now).unwrap_or(i64::MIN),
        ":runner": group.runner.as_str(),
        ":priority": group.priority.rank(),
        ":caller": group.caller,
        ":model": group.model,
    };
    let mut statement = conn.prepare_cached(FIRST)?;
    let first = statement.query_row(params, |row| spot(row, 0)).optional()?;
    Ok(first)
}

/// Takes model, runner, class and caller from the first columns of a row.
pub(super) fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    let rank: i64 = row.get(2)?;
    Ok(Group {
        model: rows::text(row, 0)?,
        runner: RunnerKey::from_stored(rows::text(row, 1)?),
        priority: Priority::from_rank(rank)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(2, rank))?,
        caller: rows::maybe_text(row, 3)?,
    })
}

/// Takes place, time of acceptance and expiry from a column on.
pub(super) fn spot(row: &Row<'_>, column: usize) -> rusqlite::Result<Spot> {
    let expires_at: Option<i64> = row.get(column.saturating_add(2))?;
    Ok(Spot {
        seq: row.get(column)?,
        created_at: Timestamp::from_millis(row.get(column.saturating_add(1))?),
        expires_at: expires_at.map(Timestamp::from_millis),
    })
}

fn member(job: &Job) -> Option<Member> {
    (job.progress.state == JobState::Queued).then(|| Member::of(job))
}
