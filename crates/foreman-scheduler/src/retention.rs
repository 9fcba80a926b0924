//! Forgets what has outlived its retention.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::Timestamp;
use foreman_store::{Purge, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::SchedulerConfig;
use crate::handle::Shared;

/// How often ended jobs are looked through.
const INTERVAL: Duration = Duration::from_mins(1);

/// Rows per transaction: a chat that wants to commit meanwhile does not notice.
const STEP: u32 = 500;

/// Pause between two steps.
const BREATH: Duration = Duration::from_millis(50);

/// Runs until the scheduler stops.
///
/// Where bodies are not kept at all, each end of a job is looked at once it is durable.
pub(crate) async fn run(shared: Arc<Shared>, config: SchedulerConfig, stop: CancellationToken) {
    loop {
        let pause = match step(&shared, &config).await {
            Ok(true) => BREATH,
            Ok(false) => INTERVAL,
            Err(error) => {
                warn!(%error, "cannot purge ended jobs");
                INTERVAL
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = shared.ended.notified(), if config.retain_bodies.is_zero() => {}
        }
    }
}

/// Returns the time before which no job ended whose log is being read, or an earlier one.
async fn unread(shared: &Shared, before: Timestamp) -> Result<Timestamp, StoreError> {
    let mut before = before;
    for id in shared.watchers.followed() {
        let job = shared.store.job(id).await?;
        let finished_at = job.and_then(|job| job.finished_at);
        before = finished_at.map_or(before, |at| at.min(before));
    }
    Ok(before)
}

/// Purges one step, and tells whether there may be more.
async fn step(shared: &Shared, config: &SchedulerConfig) -> Result<bool, StoreError> {
    let now = shared.clock.now();
    // What ended in this very millisecond is over too.
    let next = now.saturating_add(Duration::from_millis(1));
    let mut bodies_before = next.saturating_sub(config.retain_bodies);
    if config.retain_bodies.is_zero() {
        bodies_before = unread(shared, bodies_before).await?;
    }
    let purge = Purge {
        bodies_before,
        jobs_before: now.saturating_sub(config.retain_jobs),
        limit: STEP,
    };
    let purged = shared.store.purge(purge).await?;
    if purged.bodies + purged.jobs > 0 {
        debug!(bodies = purged.bodies, jobs = purged.jobs, "purged");
    }
    Ok(purged.bodies.max(purged.jobs) >= u64::from(STEP))
}
