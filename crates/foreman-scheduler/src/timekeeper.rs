//! Makes jobs ready whose rest is over, and ends those that expired in the queue.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::JobState;
use foreman_store::StoreError;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::handle::Shared;
use crate::spool::Ending;
use crate::transition;

/// A wall clock that jumped, or a wake-up that got lost, costs at most this.
const POLL: Duration = Duration::from_secs(5);

/// Runs until the scheduler stops.
///
/// # Errors
///
/// When the store cannot work any more.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), StoreError> {
    loop {
        let pause = match tick(&shared).await {
            Ok(pause) => pause,
            Err(StoreError::Busy | StoreError::Full(_)) => {
                warn!("the database cannot be written now; due jobs wait");
                POLL
            }
            Err(error) => return Err(error),
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = shared.due.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Handles what is due, and returns how long nothing will be.
async fn tick(shared: &Shared) -> Result<Duration, StoreError> {
    let now = shared.clock.now();
    let due = shared.store.due(now).await?;
    if due.promoted > 0 {
        shared.ready.notify_one();
    }
    if !due.expired.is_empty() {
        shared.ended.notify_one();
    }
    for job in &due.expired {
        transition::publish(
            shared,
            job,
            JobState::Queued,
            "expired before it was started",
        );
        if let Some(live) = shared.live.remove(job.id) {
            let ending = job.failure.clone().map_or(Ending::Unknown, Ending::Failed);
            live.spool.end(None, ending, job.progress.attempt);
        }
    }
    Ok(due.next.map_or(POLL, |next| next.since(now).min(POLL)))
}
