//! Cancels the jobs of callers that have left.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use foreman_job::{JobId, JobState};
use foreman_store::{Deletion, StoreError, Withdrawal};
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::grace::{Graces, Left, grace};
use crate::handle::Shared;
use crate::spool::Ending;
use crate::transition;

/// Departures handled together: thousands of callers may leave at once, and the store commits what
/// comes together in one group.
const BATCH: usize = 512;

/// Cancels each job whose last caller left, until the scheduler ends; one whose request may be sent
/// again by itself after a short grace only.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut left: mpsc::UnboundedReceiver<JobId>,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut graces = Graces::default();
    loop {
        tokio::select! {
            biased; // What has arrived is handled before the end is noticed.
            count = left.recv_many(&mut batch, BATCH) => if count == 0 { return },
            () = stop.cancelled() => return,
            () = end_of(graces.next()) => {}
        }
        let now = Instant::now();
        batch.retain(|id| match grace_of(&shared, *id) {
            Some(grace) => {
                graces.put(*id, now + grace);
                false
            }
            None => true,
        });
        batch.extend(graces.take_ended(now));
        join_all(batch.drain(..).map(|id| leave(&shared, id))).await;
    }
}

/// Waits for the end of a grace; for ever where there is none.
async fn end_of(grace: Option<Instant>) {
    match grace {
        Some(end) => sleep_until(end).await,
        None => pending().await,
    }
}

fn grace_of(shared: &Shared, id: JobId) -> Option<Duration> {
    let job = shared.live.get(id)?;
    grace(Left {
        resendable: job.is_resendable(),
        runs: shared.running() == Some(id),
        answered: job.spool.is_open(),
    })
}

async fn leave(shared: &Shared, id: JobId) {
    // Another caller may have come in the meantime.
    if !shared.live.give_up(id) {
        return;
    }
    match withdraw(shared, id, "caller left").await {
        // It left before its request was sent to the store.
        Ok(Withdrawal::Unknown) => drop(shared.live.remove(id)),
        Ok(Withdrawal::Cancelled(_) | Withdrawal::Requested(_) | Withdrawal::Final(_)) => {}
        Err(error) => {
            warn!(job = %id, %error, "cannot cancel the job of a caller that left");
        }
    }
}

/// Cancels a queued job, or stops a running one.
pub(crate) async fn withdraw(
    shared: &Shared,
    id: JobId,
    reason: &'static str,
) -> Result<Withdrawal, StoreError> {
    let withdrawal = shared.store.cancel(id, shared.clock.now()).await?;
    match &withdrawal {
        Withdrawal::Cancelled(job) => {
            transition::publish(shared, job, JobState::Queued, reason);
            shared.ended.notify_one();
            if let Some(live) = shared.live.remove(id) {
                live.spool
                    .end(None, Ending::Cancelled, job.progress.attempt);
            }
        }
        Withdrawal::Requested(job) => {
            info!(job = %id, model = job.model, state = %job.progress.state, reason, "cancel requested");
            shared.watchers.tell(id);
            // A run that ends by itself at this moment has taken the job out already.
            if let Some(live) = shared.live.get(id) {
                live.cancel.cancel();
            }
        }
        Withdrawal::Final(_) | Withdrawal::Unknown => {}
    }
    Ok(withdrawal)
}

/// Forgets a job, unless it runs.
pub(crate) async fn delete(shared: &Shared, id: JobId) -> Result<Deletion, StoreError> {
    let now = shared.clock.now();
    let deletion = shared.store.delete(id, now).await?;
    if let Deletion::Forgotten(job) = &deletion {
        info!(job = %id, model = job.model, "job is forgotten on request");
        if job.progress.state == JobState::Cancelled && job.finished_at == Some(now) {
            transition::publish(shared, job, JobState::Queued, "deleted");
            shared.ended.notify_one();
        }
        if let Some(live) = shared.live.remove(id) {
            live.spool
                .end(None, Ending::Cancelled, job.progress.attempt);
        }
        shared.watchers.tell(id);
    }
    Ok(deletion)
}
