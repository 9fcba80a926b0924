//! The log of a running job, kept while it runs for those who follow it, and where the output is so
//! long that its end would have to wait for all of it to be written.
//!
//! The events of a run follow from its output: that it loads, that the answer began, each chunk. So
//! nothing is noted twice, and what was not appended before the end is appended with it.

use std::time::Duration;

use bytes::Bytes;
use foreman_job::JobState;
use foreman_store::{Claimed, LogEvent, RunLog, StoreError};
use tokio::sync::SetOnce;
use tracing::warn;

use crate::live::LiveJob;
use crate::worker::Worker;

/// How long an event waits for others before they are made durable together.
const INTERVAL: Duration = Duration::from_millis(50);

/// So many bytes do not wait.
const ENOUGH: u64 = 8 * 1024;

/// Pause after the store could not keep the log.
const PAUSE: Duration = Duration::from_secs(1);

/// The states that are logged before the first chunk.
const STATES: [JobState; 2] = [JobState::Loading, JobState::Working];

impl LiveJob {
    /// Returns the number of events of the present run so far.
    fn events(&self) -> usize {
        let states = if self.is_working() { STATES.len() } else { 1 };
        states.saturating_add(self.spool.count())
    }

    /// Returns the log of the present run from an event on.
    fn log_from(&self, claimed: &Claimed, first: usize) -> RunLog {
        let is_working = self.is_working();
        let states = STATES
            .iter()
            .filter(|it| is_working || **it != JobState::Working);
        let mut events: Vec<_> = states.skip(first).copied().map(LogEvent::State).collect();
        let chunks = self.spool.chunks_from(first.saturating_sub(STATES.len()));
        if is_working {
            events.extend(chunks.into_iter().map(LogEvent::Chunk));
        }
        RunLog {
            first: claimed.next_event.saturating_add(number(first)),
            events,
        }
    }
}

impl Worker {
    /// Appends to the log what a run does, as it does it, once somebody wants to know or there is
    /// much of it.
    pub(crate) async fn keep_log(&self, told: &SetOnce<Claimed>, live: &LiveJob) -> ! {
        let claimed = told.wait().await;
        // Boxed: a quick run ends before it is told.
        Box::pin(self.keep_log_of(claimed, live)).await
    }

    async fn keep_log_of(&self, claimed: &Claimed, live: &LiveJob) -> ! {
        let mut kept = 0;
        let mut kept_bytes = 0;
        loop {
            if !live.is_kept() {
                tokio::select! {
                    () = self.shared.watchers.until_followed(live.id) => {}
                    () = live.spool.until_grown(kept_bytes), if self.keeps_bodies() => {}
                }
            }
            live.spool.until(|| live.events() > kept).await;
            let enough = live.spool.size().saturating_add(ENOUGH);
            let grown = live.spool.until(|| live.spool.size() >= enough);
            // Both ends are right: it is only a question of how many go together.
            let _waited = tokio::time::timeout(INTERVAL, grown).await;
            kept_bytes = live.spool.size();
            let log = live.log_from(claimed, kept);
            kept = kept.saturating_add(self.append(claimed, log).await);
            live.set_logged(kept);
        }
    }

    /// Appends events, and returns how many of them are durable now.
    async fn append(&self, claimed: &Claimed, log: RunLog) -> usize {
        let count = log.events.len();
        let job = &claimed.job;
        let epoch = job.progress.epoch;
        match self.shared.store.append_events(job.seq, epoch, log).await {
            Ok(_) => {
                self.shared.watchers.tell(job.id);
                count
            }
            // The run was replaced; its settlement will learn that too.
            Err(StoreError::Lost(_)) => std::future::pending().await,
            Err(error) => {
                warn!(job = %job.id, %error, "cannot keep the log of the run; trying again");
                tokio::time::sleep(PAUSE).await;
                0
            }
        }
    }

    const fn keeps_bodies(&self) -> bool {
        !self.config.retain_bodies.is_zero()
    }

    /// Puts together what is not durable yet of the log of a run, with what was held back of its
    /// answer; none where bodies are not kept and nobody follows. Once for each run.
    pub(crate) fn run_log(
        &self,
        claimed: &Claimed,
        live: &LiveJob,
        last: Option<&Bytes>,
    ) -> Option<RunLog> {
        let kept = live.take_logged();
        let is_followed = self.shared.watchers.is_followed(claimed.job.id);
        if !self.keeps_bodies() && !is_followed {
            return None;
        }
        let mut log = live.log_from(claimed, kept);
        if let Some(last) = last {
            if kept.saturating_add(log.events.len()) < STATES.len() {
                log.events.push(LogEvent::State(JobState::Working));
            }
            log.events.push(LogEvent::Chunk(last.clone()));
        }
        Some(log)
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
