//! Claims the next job: a few index probes, whatever the length of the queue.

use foreman_job::Choice;
use foreman_job::lifecycle::Event;
use rusqlite::{Connection, named_params};

use super::{heads, journal, line};
use crate::sqlite::rows::{self, Change};
use crate::sqlite::writer::Tx;
use crate::{ClaimRequest, Claimed, SlotTaken, StoreError, transition};

pub(super) const SLOT: &str = "\
SELECT EXISTS (SELECT 1 FROM jobs WHERE slot = :slot)";

/// Claims the job that the policy names; what it asks is left to be read by somebody else.
///
/// A body may be large, and the disk may not give it back: that would undo the whole transaction,
/// and so every claim.
pub(in crate::sqlite) fn claim(
    tx: &mut Tx<'_>,
    wish: &ClaimRequest,
) -> Result<Option<Claimed>, StoreError> {
    if slot_is_taken(tx.conn, wish.slot)? {
        return Err(StoreError::Database(Box::new(SlotTaken(wish.slot))));
    }
    line::look(tx)?;
    let Some(heads) = heads::heads(tx.conn, tx.depths(), wish)? else {
        return Ok(None);
    };
    match (wish.choose)(&heads) {
        Some(choice) => take(tx, wish, choice).map(Some),
        None => Ok(None),
    }
}

fn take(tx: &mut Tx<'_>, wish: &ClaimRequest, choice: Choice) -> Result<Claimed, StoreError> {
    let before = rows::by_seq(tx.conn, choice.seq)?.ok_or(StoreError::NotFound)?;
    let job = transition::apply(&before, &Event::Claim, wish.now)?;
    let change = Change {
        now: wish.now,
        claim: Some((wish.slot, choice.reason)),
    };
    rows::write(tx.conn, &job, change)?;
    line::changed(tx, &before, &job)?;
    Ok(Claimed {
        job,
        reason: choice.reason,
        request: None,
        next_event: journal::end(tx.conn, before.seq)?.next(),
    })
}

fn slot_is_taken(conn: &Connection, slot: u32) -> Result<bool, StoreError> {
    let taken = conn
        .prepare_cached(SLOT)?
        .query_row(named_params! {":slot": slot}, |row| row.get(0))?;
    Ok(taken)
}
