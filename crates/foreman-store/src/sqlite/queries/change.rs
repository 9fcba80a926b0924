//! Starts, settles and cancels jobs.

use foreman_job::lifecycle::{Epoch, Event};
use foreman_job::{Job, JobId, Timestamp};

use super::journal::{self, Run};
use super::line;
use crate::sqlite::rows::{self, Change};
use crate::sqlite::writer::Tx;
use crate::{RunLog, Settlement, StoreError, Withdrawal, transition};

/// Notes that the target's first byte came.
pub(in crate::sqlite) fn start(
    tx: &mut Tx<'_>,
    seq: i64,
    epoch: Epoch,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = rows::by_seq(tx.conn, seq)?.ok_or(StoreError::NotFound)?;
    let after = transition::apply(&before, &Event::Start { epoch }, now)?;
    write(tx, &before, &after, now)
}

/// Ends a claim.
pub(in crate::sqlite) fn settle(
    tx: &mut Tx<'_>,
    settlement: &Settlement,
) -> Result<Job, StoreError> {
    let before = rows::by_seq(tx.conn, settlement.seq)?.ok_or(StoreError::NotFound)?;
    let after = transition::settle(&before, settlement)?;
    write(tx, &before, &after, settlement.now)?;
    journal::settle(tx.conn, &after, Run::of(&before), settlement)?;
    Ok(after)
}

/// Adds events of a run to the log of its job.
pub(in crate::sqlite) fn append_events(
    tx: &Tx<'_>,
    seq: i64,
    epoch: Epoch,
    log: &RunLog,
) -> Result<u64, StoreError> {
    let job = rows::by_seq(tx.conn, seq)?.ok_or(StoreError::NotFound)?;
    transition::may_log(&job, epoch)?;
    journal::append(tx.conn, Run::of(&job), log)
}

/// Cancels a queued job, or notes the wish for a running one.
pub(in crate::sqlite) fn cancel(
    tx: &mut Tx<'_>,
    id: JobId,
    now: Timestamp,
) -> Result<Withdrawal, StoreError> {
    let Some(before) = rows::by_id(tx.conn, id)? else {
        return Ok(Withdrawal::Unknown);
    };
    if before.progress.state.is_terminal() {
        return Ok(Withdrawal::Final(Box::new(before)));
    }
    let after = transition::apply(&before, &Event::Cancel, now)?;
    write(tx, &before, &after, now)?;
    let ended = after.progress.state.is_terminal();
    let job = Box::new(after);
    Ok(if ended {
        Withdrawal::Cancelled(job)
    } else {
        Withdrawal::Requested(job)
    })
}

/// How much room a settlement takes, roughly.
pub(in crate::sqlite) fn size(settlement: &Settlement) -> u64 {
    settlement.log.as_ref().map_or(0, RunLog::size)
}

/// Writes a job that an event other than a claim has changed.
pub(super) fn write(
    tx: &mut Tx<'_>,
    before: &Job,
    after: &Job,
    now: Timestamp,
) -> Result<(), StoreError> {
    rows::write(tx.conn, after, Change { now, claim: None })?;
    line::changed(tx, before, after)
}
