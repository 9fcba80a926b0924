//! The scheduler as a whole: what it owns, how it starts and how it ends.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::{Clock, JobId, JobState, Random};
use foreman_ollama::{Inventory, InventorySnapshot, OllamaClient};
use foreman_store::{QueueStore, Recovery, StoreError};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::breaker::Breaker;
use crate::embedder::Embedder;
use crate::handle::Shared;
use crate::keep_alive::KeepAlivePolicy;
use crate::live::LiveJobs;
use crate::order::Order;
use crate::residency::Residency;
use crate::worker::Worker;
use crate::{
    Metrics, SchedulerConfig, SchedulerHandle, inventory_keeper, leavers, retention, timekeeper,
    transition,
};

/// The first and the longest pause between two probes of a target that is away: it is found again
/// within seconds of its return, however long it was away.
const PROBE_BASE: Duration = Duration::from_millis(250);
const PROBE_MAX: Duration = Duration::from_secs(5);

/// What the scheduler works with.
#[derive(Clone)]
pub struct Parts {
    /// Where jobs are kept.
    pub store: Arc<dyn QueueStore>,
    /// Who talks to the target.
    pub client: Arc<dyn OllamaClient>,
    /// What the target has.
    pub inventory: Inventory,
    /// A clock that does not jump, such as `SteadyClock`.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids and jitter.
    pub random: Arc<dyn Random>,
    /// The instruments.
    pub metrics: Metrics,
}

/// The two stages of a shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Nothing new is claimed; the running job is brought to its end.
    pub drain: CancellationToken,
    /// The running job is given up and goes back to the queue.
    pub force: CancellationToken,
}

/// Why the scheduler ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The store cannot keep jobs any more.
    #[error("the store cannot keep jobs any more")]
    Store(#[from] StoreError),
    /// A part of the scheduler panicked.
    #[error("a part of the scheduler panicked")]
    Panicked(#[source] JoinError),
}

/// Runs jobs, one at a time.
pub struct Scheduler {
    shared: Arc<Shared>,
    left: mpsc::UnboundedReceiver<JobId>,
    parts: Parts,
    /// What the poller reads from now on: before, it may be what a former life has kept.
    polls: watch::Receiver<Arc<InventorySnapshot>>,
    config: SchedulerConfig,
    shutdown: Shutdown,
}

impl Scheduler {
    /// Puts a scheduler together; nothing runs yet.
    pub fn new(parts: Parts, config: SchedulerConfig, shutdown: Shutdown) -> Self {
        let (live, left) = LiveJobs::new();
        let shared = Shared::new(&parts, live, &config, shutdown.drain.clone());
        Self {
            shared: Arc::new(shared),
            left,
            polls: parts.inventory.subscribe(),
            parts,
            config,
            shutdown,
        }
    }

    /// Returns the way in.
    pub fn handle(&self) -> SchedulerHandle {
        SchedulerHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Settles what the last life left running, so that it runs again; call it before
    /// [`run`](Self::run) and before any job is submitted.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn recover(&self) -> Result<Recovery, StoreError> {
        let now = self.shared.clock.now();
        let latest_retry = now.saturating_add(self.config.retry.max);
        let recovery = self.shared.store.recover(now, latest_retry).await?;
        self.shared.pauses.load(self.shared.store.as_ref()).await?;
        for (from, job) in &recovery.jobs {
            let reason = match job.progress.state {
                JobState::Failed => "found running at too many crashes",
                JobState::Cancelled => "cancelled before the restart",
                JobState::Queued | JobState::Loading | JobState::Working | JobState::Done => {
                    "was running when foreman ended"
                }
            };
            transition::publish(&self.shared, job, *from, reason);
        }
        info!(
            recovered = recovery.jobs.len(),
            queued = recovery.queued,
            "queue is recovered"
        );
        Ok(recovery)
    }

    /// Runs jobs until the shutdown.
    ///
    /// # Errors
    ///
    /// When a part cannot go on: the process should end, so that the next life finds out from the
    /// store what is true.
    pub async fn run(self) -> Result<(), SchedulerError> {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let worker = self.worker();
        let shared = self.shared;
        if let Some(model) = self.config.embed_model.clone() {
            let embedder = Embedder {
                model,
                shared: Arc::clone(&shared),
                client: Arc::clone(&self.parts.client),
                inventory: self.parts.inventory.clone(),
                swapped: Arc::clone(&worker.swapped),
            };
            tasks.spawn(until_stopped(embedder.run(stop.clone())));
        }
        tasks.spawn(timekeeper::run(Arc::clone(&shared), stop.clone()));
        tasks.spawn(until_stopped(leavers::run(
            Arc::clone(&shared),
            self.left,
            stop.clone(),
        )));
        tasks.spawn(until_stopped(retention::run(
            Arc::clone(&shared),
            self.config.clone(),
            stop.clone(),
        )));
        tasks.spawn(until_stopped(inventory_keeper::run(
            Arc::clone(&shared),
            self.parts.inventory,
            stop.clone(),
        )));
        tasks.spawn(farewell(Arc::clone(&shared), stop.clone()));

        let mut main = JoinSet::new();
        main.spawn(worker.run());
        let end = tokio::select! {
            Some(end) = main.join_next() => end,
            Some(end) = tasks.join_next() => end,
            else => Ok(Ok(())),
        };
        stop.cancel();
        // What else was found while stopping is the same trouble.
        while tasks.join_next().await.is_some() {}
        end.map_err(SchedulerError::Panicked)?
            .map_err(SchedulerError::Store)
    }

    fn worker(&self) -> Worker {
        let max = PROBE_MAX.min(self.config.retry.max);
        Worker {
            shared: Arc::clone(&self.shared),
            client: Arc::clone(&self.parts.client),
            inventory: self.parts.inventory.clone(),
            polls: self.polls.clone(),
            config: self.config.clone(),
            metrics: self.parts.metrics.clone(),
            force: self.shutdown.force.clone(),
            breaker: Breaker::new(PROBE_BASE.min(max), max),
            residency: Residency::new(self.config.keep_alive, self.shared.disturbance.clone()),
            keep_alive: KeepAlivePolicy::new(self.config.keep_alive),
            swapped: Arc::new(Notify::new()),
            drained: 0,
            order: Order::new(self.config.max_wait),
            ending: JoinSet::new(),
            ahead: Vec::new(),
            doubts: false,
        }
    }
}

/// Tells waiting callers, at the beginning of the shutdown, that their jobs stay in the queue.
async fn farewell(shared: Arc<Shared>, stop: CancellationToken) -> Result<(), StoreError> {
    tokio::select! {
        () = shared.draining.cancelled() => {}
        () = stop.cancelled() => return Ok(()),
    }
    shared.live.shut_down(shared.running());
    let waiting = shared.store.counts().queued;
    if waiting > 0 {
        warn!(waiting, "shutting down; waiting jobs run after the restart");
    }
    stop.cancelled().await;
    Ok(())
}

async fn until_stopped(task: impl Future<Output = ()>) -> Result<(), StoreError> {
    task.await;
    Ok(())
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
