//! The one loop that runs jobs: claim, run, settle, again.
//!
//! One turn: while the breaker is open, wait and probe; otherwise ask what is resident, claim what
//! the policy chooses, run it to its end, settle it, and note what that says about the target.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::{FailureKind, Job, JobFailure};
use foreman_ollama::{
    Deadlines, ErrorKind, Inventory, InventorySnapshot, OllamaClient, TargetError,
};
use foreman_store::{Claimed, StoreError};
use tokio::sync::{Notify, SetOnce, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::SchedulerConfig;
use crate::ahead::Ended;
use crate::attempt::Attempt;
use crate::breaker::Breaker;
use crate::claim::Next;
use crate::early::Early;
use crate::handle::Shared;
use crate::keep_alive::KeepAlivePolicy;
use crate::metrics::Metrics;
use crate::order::Order;
use crate::residency::Residency;
use crate::run::{Run, Swap};
use crate::status::{BreakerStatus, Running};
use crate::transition;

/// A wake-up that got lost costs at most this.
pub(crate) const POLL: Duration = Duration::from_secs(1);

/// A target that is up answers a probe within this time.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// The one that runs jobs.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: Arc<dyn OllamaClient>,
    pub(crate) inventory: Inventory,
    /// What the poller has read since the last job.
    pub(crate) polls: watch::Receiver<Arc<InventorySnapshot>>,
    pub(crate) config: SchedulerConfig,
    pub(crate) metrics: Metrics,
    /// Set when running attempts are to be given up.
    pub(crate) force: CancellationToken,
    pub(crate) breaker: Breaker,
    pub(crate) residency: Residency,
    pub(crate) keep_alive: KeepAlivePolicy,
    /// Rung after each swap, for the embedder.
    pub(crate) swapped: Arc<Notify>,
    /// Jobs run since the last swap.
    pub(crate) drained: u64,
    pub(crate) order: Order,
    /// Claims whose end is on its way to the disk.
    pub(crate) ending: JoinSet<Ended>,
    /// The places of the jobs among these whose claims are not answered yet.
    pub(crate) ahead: Vec<i64>,
    /// Whether what was foreseen did not come: then the next claim is made without.
    pub(crate) doubts: bool,
}

impl Worker {
    /// Runs jobs until the shutdown begins; a running one is brought to its end.
    ///
    /// # Errors
    ///
    /// When the store cannot keep what was done: nothing more may be run.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let mut outcome = self.work().await;
        // After an error, too: their callers hear of it.
        while !self.ending.is_empty() {
            outcome = outcome.and(self.one_ended().await);
        }
        outcome
    }

    async fn work(&mut self) -> Result<(), StoreError> {
        while !self.shared.draining.is_cancelled() {
            while let Some(ended) = self.ending.try_join_next() {
                self.joined(ended)?;
            }
            if let Some(at) = self.breaker.probe_at() {
                self.probe(at).await;
                continue;
            }
            match self.claim().await {
                Ok(Some(next)) => self.turn(next).await?,
                Ok(None) => self.idle().await?,
                Err(error) => self.not_claimed(Some(error)).await?,
            }
        }
        Ok(())
    }

    /// Runs and settles a job; and another one, where that was claimed in its place.
    pub(crate) async fn turn(&mut self, next: Next) -> Result<(), StoreError> {
        let mut next = Some(next);
        while let Some(one) = next {
            next = self.run_one(one).await?;
        }
        // What was read meanwhile says less than the end of the job.
        self.polls.mark_unchanged();
        Ok(())
    }

    async fn run_one(&mut self, next: Next) -> Result<Option<Next>, StoreError> {
        let Next {
            claimed,
            live,
            mut early,
            claiming,
        } = next;
        let job = &claimed.job;
        let told = SetOnce::new_with(claiming.is_none().then(|| claimed.clone()));
        if claiming.is_none() {
            self.begins(&claimed);
        }
        let head = match &mut early {
            Some(early) => early.take_head(),
            None => claimed
                .request
                .as_ref()
                .and_then(|request| self.shared.head_of(job.id, job.endpoint, request)),
        };
        let swap = if self.residency.has(&job.runner) {
            Swap::None
        } else {
            Swap::Load
        };
        if self.residency.current() != Some(&job.runner) {
            self.end_drain().await;
        }
        self.order.begins(job);
        let run = Run {
            claimed: &claimed,
            live: &live,
            head: head.as_ref(),
            swap,
            told: &told,
        };
        let began = early.as_deref().map_or_else(Instant::now, Early::began);
        let (attempt, claiming) = match self.run_ahead(run, early, claiming).await {
            Ok(ended) => ended,
            Err(claim) => return self.in_its_place(claim).await,
        };
        let took = began.elapsed();
        self.learn(job, &attempt, swap, took);
        let suspicion = self.observe(&claimed, &attempt, swap, took);
        if attempt.is_complete() && !self.shared.pins(&job.runner) {
            self.keep_alive.note(job, head.as_ref());
        }
        let claimed = told.into_inner().unwrap_or(claimed);
        let settling = self.settling(claimed, live, attempt);
        let place = match claiming {
            None => {
                self.ends(settling, None, took).await?;
                None
            }
            Some(claiming) => self.ends_ahead(settling, claiming, took).await?,
        };
        if let Some(suspicion) = suspicion {
            self.follow_up(suspicion).await;
        }
        Ok(place)
    }

    /// Tells that a job is claimed.
    pub(crate) fn begins(&self, claimed: &Claimed) {
        let Claimed { job, reason, .. } = claimed;
        transition::claimed(&self.shared, job, *reason, &self.metrics);
        self.show_running(job);
    }

    /// Notes how long the attempt kept the target busy, for the order and for estimates.
    fn learn(&self, job: &Job, attempt: &Attempt, swap: Swap, took: Duration) {
        let load = match swap {
            Swap::None => attempt.load().or(Some(Duration::ZERO)),
            Swap::Load => attempt.load(),
        };
        // Where the load is not told, its time cannot be told from the run's.
        let ran = load.map_or(Duration::ZERO, |load| took.saturating_sub(load));
        self.order.ran(job, ran);
        if attempt.is_complete()
            && let Some(load) = load
        {
            let load = (swap == Swap::Load).then_some(load);
            self.shared.learned().note(&job.runner, ran, load);
        }
    }

    /// Notes what the end of an attempt says about the target.
    fn observe(
        &mut self,
        claimed: &Claimed,
        attempt: &Attempt,
        swap: Swap,
        took: Duration,
    ) -> Option<Suspicion> {
        match attempt {
            Attempt::Complete { .. } => {
                self.breaker.succeeded();
                self.ran(&claimed.job, swap, attempt.load().unwrap_or(took));
                None
            }
            Attempt::Failed {
                failure,
                retry_after,
                ..
            } => {
                self.metrics.attempt_failed(failure.kind);
                self.residency.forget_reading();
                Some(Suspicion {
                    failure: failure.clone(),
                    asked: *retry_after,
                })
            }
            Attempt::Aborted | Attempt::Released => {
                self.residency.forget_reading();
                None
            }
        }
    }

    /// Finds out whether a failure was the job's own or the target's, before the next job meets it.
    async fn follow_up(&mut self, Suspicion { failure, asked }: Suspicion) {
        let is_down = match failure.kind {
            FailureKind::ClosedBeforeHead
            | FailureKind::Truncated
            | FailureKind::FirstByteTimeout
            | FailureKind::Stalled
            | FailureKind::TargetTransient => !self.answers_probe().await,
            FailureKind::TargetUnreachable
            | FailureKind::TargetTls
            | FailureKind::TargetBusy
            | FailureKind::Incomplete
            | FailureKind::RunTimeout
            | FailureKind::TargetError
            | FailureKind::TargetRejected
            | FailureKind::BadResponse
            | FailureKind::LineTooLong
            | FailureKind::OutputTooLarge
            | FailureKind::StorageRead
            | FailureKind::Expired
            | FailureKind::Poison
            | FailureKind::Panic => failure.kind.opens_breaker(),
        };
        if is_down {
            self.open_breaker(failure.kind, &failure.message, asked);
        }
    }

    /// Notes that the target answered a job, and writes the line of a swap.
    fn ran(&mut self, job: &Job, swap: Swap, load: Duration) {
        let before = self.residency.current().cloned();
        let changed = before.as_ref() != Some(&job.runner);
        self.residency.ran(&job.runner);
        if !changed && swap == Swap::None {
            self.drained = self.drained.saturating_add(1);
            return;
        }
        let load_ms = match swap {
            Swap::Load => millis(load),
            Swap::None => 0,
        };
        info!(
            from = before.as_ref().map_or("none", |runner| runner.as_str()),
            to = job.runner.as_str(),
            model = job.model,
            drained = self.drained,
            load_ms,
            "swapped after {} jobs",
            self.drained,
        );
        if swap == Swap::Load {
            self.metrics.swapped();
            self.swapped.notify_one();
        }
        self.drained = 1;
    }

    fn open_breaker(&mut self, kind: FailureKind, message: &str, asked: Option<Duration>) {
        let unit = self.shared.random.unit();
        let pause = self.breaker.open(Instant::now(), asked, unit);
        warn!(
            code = kind.code(),
            error = message,
            pause_ms = millis(pause),
            waiting = self.shared.store.counts().queued,
            "target does not take jobs: they wait"
        );
        if kind != FailureKind::TargetBusy {
            let seen = TargetError::new(ErrorKind::Unreachable, "running a job");
            self.inventory.note_unreachable(&seen);
        }
        self.show_breaker(Some(message));
    }

    /// Waits for the time of the probe, and probes.
    async fn probe(&mut self, at: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(at) => {}
            () = self.shared.draining.cancelled() => return,
        }
        if !self.answers_probe().await {
            let unit = self.shared.random.unit();
            let pause = self.breaker.open(Instant::now(), None, unit);
            debug!(pause_ms = millis(pause), "target does not answer the probe");
            return;
        }
        let waiting = self.shared.store.counts().queued;
        info!(waiting, "target answers again");
        self.breaker.close();
        self.residency.forget_reading();
        self.show_breaker(None);
        // Sees what the target has now; the embedder is warmed on its word.
        if let Err(error) = self.inventory.refresh().await {
            debug!(%error, "target answers a probe but cannot be polled");
        }
    }

    /// Asks the target for a sign of life.
    async fn answers_probe(&self) -> bool {
        let answer = tokio::time::timeout(PROBE_PATIENCE, self.client.version()).await;
        matches!(answer, Ok(Ok(answer)) if answer.status.is_success())
    }

    pub(crate) async fn end_drain(&mut self) {
        let unloads = self
            .residency
            .current()
            .map(|runner| self.shared.take_unloads(runner))
            .unwrap_or_default();
        let client = self.client.as_ref();
        if self.keep_alive.honour(client, unloads).await {
            self.shared.disturbance.note();
        }
    }

    /// Waits for something to do.
    pub(crate) async fn pause(&mut self, longest: Duration) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            _ = shared.woken(Instant::now() + longest) => Ok(()),
            ended = self.one_ended(), if !self.ending.is_empty() => ended,
        }
    }

    pub(crate) const fn deadlines(&self) -> Deadlines {
        Deadlines {
            first_byte: Some(self.config.first_byte_timeout),
            idle: Some(self.config.idle_timeout),
        }
    }

    pub(crate) fn show_running(&self, job: &Job) {
        self.shared.status.send_modify(|status| {
            status.runner = Some(job.runner.clone());
            status.running = Some(Running {
                id: job.id,
                model: job.model.clone(),
                state: job.progress.state,
                since: job.claimed_at.unwrap_or(job.created_at),
            });
        });
    }

    fn show_breaker(&self, reason: Option<&str>) {
        let since = self.shared.clock.now();
        self.metrics.breaker(reason.is_some());
        self.shared.status.send_modify(|status| {
            status.breaker = match (reason, &status.breaker) {
                (None, _) => BreakerStatus::Closed,
                // The first failure tells since when.
                (Some(_), open @ BreakerStatus::Open { .. }) => open.clone(),
                (Some(reason), BreakerStatus::Closed) => BreakerStatus::Open {
                    since,
                    reason: reason.to_owned(),
                },
            };
        });
    }
}

/// A failure that may say something about the target.
struct Suspicion {
    failure: JobFailure,
    /// The pause that the target asked for.
    asked: Option<Duration>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
