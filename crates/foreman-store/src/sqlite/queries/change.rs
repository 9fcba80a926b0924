//! Starts, settles and cancels jobs.

use foreman_job::lifecycle::{Epoch, Event};
use foreman_job::{Job, JobId, Timestamp};

use super::journal::{self, Run};
use super::line;
use crate::sqlite::rows::{self, Change};
use crate::sqlite::writer::Tx;
use crate::{RunLog, Settlement, StoreError, Withdrawal, transition};

/// The first claim of a job.
const FIRST_RUN: Epoch = Epoch::new(1);

/// Notes that the target's first byte came.
pub(in crate::sqlite) fn start(
    tx: &mut Tx<'_>,
    seq: i64,
    epoch: Epoch,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = rows::by_seq(tx.conn()?, seq)?.ok_or(StoreError::NotFound)?;
    let after = transition::apply(&before, &Event::Start { epoch }, now)?;
    write(tx, &before, &after, now)
}

/// Ends a claim.
pub(in crate::sqlite) fn settle(
    tx: &mut Tx<'_>,
    settlement: &Settlement,
) -> Result<Job, StoreError> {
    let held = tx.held(settlement.id).cloned();
    // What was claimed for the first time just now has not logged anything.
    let is_silent = held
        .as_ref()
        .is_some_and(|job| job.progress.epoch == FIRST_RUN);
    let before = match (held, settlement.seq) {
        (Some(job), _) => Some(job),
        (None, Some(seq)) => rows::by_seq(tx.conn()?, seq)?,
        (None, None) => rows::by_id(tx.conn()?, settlement.id)?,
    };
    let before = before
        .filter(|job| job.id == settlement.id)
        .ok_or(StoreError::NotFound)?;
    let after = transition::settle(&before, settlement)?;
    write(tx, &before, &after, settlement.now)?;
    let run = Run::of(&before);
    journal::settle(tx.conn()?, &after, (run, is_silent), settlement)?;
    Ok(after)
}

/// Adds events of a run to the log of its job.
pub(in crate::sqlite) fn append_events(
    tx: &mut Tx<'_>,
    seq: i64,
    epoch: Epoch,
    log: &RunLog,
) -> Result<u64, StoreError> {
    let job = rows::by_seq(tx.conn()?, seq)?.ok_or(StoreError::NotFound)?;
    transition::may_log(&job, epoch)?;
    journal::append(tx.conn()?, Run::of(&job), log)
}

/// Cancels a queued job, or notes the wish for a running one.
pub(in crate::sqlite) fn cancel(
    tx: &mut Tx<'_>,
    id: JobId,
    now: Timestamp,
) -> Result<Withdrawal, StoreError> {
    let Some(before) = rows::by_id(tx.conn()?, id)? else {
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
    tx.write(after, Change { now, claim: None })?;
    line::changed(tx, before, after)
}
