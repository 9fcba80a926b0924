//! Following jobs: their state until they end, their log as it grows.

use std::time::Duration;

use foreman_job::{Job, JobId};
use foreman_store::{LogPage, StoreError};
use tokio::time::Instant;

use crate::SchedulerHandle;
use crate::watchers::{Interest, Watch};

/// A wake-up that got lost costs at most this.
const POLL: Duration = Duration::from_secs(30);

/// Events that are read at a time.
const PAGE: usize = 256;

/// A place in the log of a job, from which it is read on.
///
/// What it gives is durable: after foreman was killed, a new follower goes on where this one was.
#[derive(Debug)]
pub struct Follower {
    handle: SchedulerHandle,
    watch: Watch,
    id: JobId,
    after: u64,
    /// Dropped after the watch.
    _leaving: Leaving,
}

/// Rings when a follower has left: what was kept for it alone may be forgotten.
#[derive(Debug)]
struct Leaving(SchedulerHandle);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.shared.ended.notify_one();
    }
}

impl SchedulerHandle {
    /// Waits until a job has ended, or the time is over, and returns it as it is then; none when
    /// there is no such job.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn wait_for_end(
        &self,
        id: JobId,
        deadline: Instant,
    ) -> Result<Option<Job>, StoreError> {
        let mut watch = self.shared.watchers.watch(id, Interest::State);
        loop {
            let job = self.shared.store.job(id).await?;
            let waits = job
                .as_ref()
                .is_some_and(|job| !job.progress.state.is_terminal());
            if !waits || Instant::now() >= deadline || self.shared.draining.is_cancelled() {
                return Ok(job);
            }
            tokio::select! {
                () = watch.changed() => {}
                () = self.shared.draining.cancelled() => {}
                () = tokio::time::sleep_until(deadline.min(Instant::now() + POLL)) => {}
            }
        }
    }

    /// Begins to follow a job after an event; while somebody follows, what a run does is logged as
    /// it happens.
    pub fn follow(&self, id: JobId, after: u64) -> Follower {
        Follower {
            handle: self.clone(),
            watch: self.shared.watchers.watch(id, Interest::Log),
            id,
            after,
            _leaving: Leaving(self.clone()),
        }
    }
}

impl Follower {
    /// Reads what the log has now, which may be nothing; none when there is no such job.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn read(&mut self) -> Result<Option<LogPage>, StoreError> {
        let store = &self.handle.shared.store;
        let page = store.events(self.id, self.after, PAGE).await?;
        if let Some(last) = page.as_ref().and_then(|page| page.entries.last()) {
            self.after = last.n;
        }
        Ok(page)
    }

    /// Waits until the log has more, and reads it.
    ///
    /// A page without events is the last one: foreman shuts down, and the job goes on after that.
    ///
    /// # Errors
    ///
    /// What the store says.
    ///
    /// # Cancel safety
    ///
    /// No event is passed over when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<LogPage>, StoreError> {
        loop {
            let page = self.read().await?;
            let draining = &self.handle.shared.draining;
            let is_news = page
                .as_ref()
                .is_none_or(|page| !page.entries.is_empty() || page.pruned);
            let goes_on = page
                .as_ref()
                .is_some_and(|page| page.job.progress.state.is_running());
            // The running job is brought to its end; all others rest until the next life.
            if is_news || (draining.is_cancelled() && !goes_on) {
                return Ok(page);
            }
            let draining = async {
                if goes_on {
                    std::future::pending::<()>().await;
                }
                draining.cancelled().await;
            };
            tokio::select! {
                () = self.watch.changed() => {}
                () = draining => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}
