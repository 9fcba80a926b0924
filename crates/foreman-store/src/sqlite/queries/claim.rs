//! Claims the next job: a few index probes, whatever the length of the queue.

use foreman_job::lifecycle::Event;
use foreman_job::{Choice, JobState};
use rusqlite::named_params;

use super::{heads, journal, line};
use crate::sqlite::recent::Recent;
use crate::sqlite::rows::{self, Change};
use crate::sqlite::writer::Tx;
use crate::{ClaimRequest, Claimed, SlotTaken, StoreError, transition};

pub(super) const SLOT: &str = "\
SELECT EXISTS (SELECT 1 FROM jobs WHERE state <> 'queued' AND slot = :slot)";

/// A job that was claimed, and what of its row could not be read.
#[derive(Debug)]
pub(in crate::sqlite) struct Taken {
    pub(in crate::sqlite) claimed: Claimed,
    /// The damaged columns. What runs must be what was accepted: with any, it is to be failed.
    pub(in crate::sqlite) damaged: Vec<String>,
}

/// Claims the job that the policy names; what it asks is left to be read by somebody else.
///
/// A body may be large, and the disk may not give it back: that would undo the whole transaction,
/// and so every claim.
pub(in crate::sqlite) fn claim(
    tx: &mut Tx<'_>,
    wish: &ClaimRequest,
    recent: &Recent,
) -> Result<Option<Box<Taken>>, StoreError> {
    if slot_is_taken(tx, wish.slot)? {
        return Err(StoreError::Database(Box::new(SlotTaken(wish.slot))));
    }
    if let Some(choice) = wish.foreseen {
        let found = found(tx, choice.seq, recent)?.filter(is_ready);
        let taken = found.map(|found| take(tx, (wish, choice), found));
        return taken.transpose();
    }
    line::look(tx)?;
    let Some(heads) = heads::heads(tx.conn()?, tx.depths(), wish)? else {
        return Ok(None);
    };
    let Some(choice) = (wish.choose)(&heads) else {
        return Ok(None);
    };
    let found = found(tx, choice.seq, recent)?;
    if !found.as_ref().is_some_and(is_ready) && line::forget_first(tx, choice.seq)? {
        // The line that it was in went on without it, since its row had not told which one.
        tracing::error!(
            job.seq = choice.seq,
            "the queue names a job that does not wait: stored data was damaged"
        );
        return Ok(None);
    }
    let found = found.ok_or(StoreError::NotFound)?;
    take(tx, (wish, choice), found).map(Some)
}

fn take(
    tx: &mut Tx<'_>,
    (wish, choice): (&ClaimRequest, Choice),
    found: rows::Found,
) -> Result<Box<Taken>, StoreError> {
    let rows::Found {
        job: before,
        damaged,
    } = found;
    let now = tx.now(wish.now);
    let job = transition::apply(&before, &Event::Claim, now)?;
    let change = Change {
        now,
        claim: Some((wish.slot, choice.reason)),
    };
    let next_event = journal::next(tx, &before)?;
    tx.write_claim(&job, change)?;
    if damaged.is_empty() {
        line::changed(tx, &before, &job)?;
    } else {
        line::damaged(tx, &before, &job)?;
    }
    let claimed = Claimed {
        job,
        reason: choice.reason,
        request: None,
        next_event,
    };
    Ok(Box::new(Taken { claimed, damaged }))
}

fn is_ready(found: &rows::Found) -> bool {
    let progress = &found.job.progress;
    progress.state == JobState::Queued && progress.retry_at.is_none()
}

/// Finds a job. One that was accepted a moment ago, and waits as it was, need not be read.
fn found(tx: &mut Tx<'_>, seq: i64, recent: &Recent) -> Result<Option<rows::Found>, StoreError> {
    let known = recent.take_job(seq);
    match known.filter(|job| job.progress.retry_at.is_none() && tx.depths().leads(job)) {
        Some(job) => Ok(Some(rows::Found {
            job,
            damaged: Vec::new(),
        })),
        None => rows::found(tx.conn()?, seq),
    }
}

fn slot_is_taken(tx: &mut Tx<'_>, slot: u32) -> Result<bool, StoreError> {
    if tx.counts.loading == 0 && tx.counts.working == 0 {
        return Ok(false);
    }
    let taken = tx
        .conn()?
        .prepare_cached(SLOT)?
        .query_row(named_params! {":slot": slot}, |row| row.get(0))?;
    Ok(taken)
}
