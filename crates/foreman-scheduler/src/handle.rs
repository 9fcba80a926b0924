//! How others submit jobs and look at the scheduler.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use foreman_job::{Clock, Endpoint, Job, JobId, Priority, Random, RunnerKey, Timestamp};
use foreman_ollama::RequestHead;
use foreman_store::{
    Deletion, Headers, IdempotencyKey, QueueStore, StoreError, StoredRequest, Withdrawal,
};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::attempt::head_of;
use crate::early::Guesses;
use crate::heads::Heads;
use crate::keep_alive::Unloading;
use crate::learned::Learned;
use crate::live::LiveJobs;
use crate::metrics::Metrics;
use crate::pauses::Pauses;
use crate::pinned::Pinned;
use crate::resend::RequestKey;
use crate::residency::Disturbance;
use crate::status::Status;
use crate::submit::Entered;
use crate::transition::{self, Transition};
use crate::watchers::Watchers;
use crate::{Parts, Resendable, SchedulerConfig, Ticket, WhenCallerLeaves};

/// A request to be done as a job.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// The route it came in by.
    pub endpoint: Endpoint,
    /// The model as the caller spelled it.
    pub model: String,
    /// The runner it needs.
    pub runner: RunnerKey,
    /// Class.
    pub priority: Priority,
    /// Name of the caller's token.
    pub caller: Option<String>,
    /// It is not started earlier than this.
    pub not_before: Option<Timestamp>,
    /// It is not started later than this from now.
    pub expires_in: Option<Duration>,
    /// What becomes of it when its caller leaves.
    pub when_caller_leaves: WhenCallerLeaves,
    /// The headers to forward; no credentials.
    pub headers: Headers,
    /// The body as it came.
    pub body: Bytes,
    /// What was read of exactly this body by [`scan`](foreman_ollama::scan), so that it is not read
    /// again; none where it was not read, or is encoded.
    pub head: Option<RequestHead>,
    /// The key under which a repetition finds this job.
    pub idempotency: Option<IdempotencyKey>,
    /// The job of which this one is a repetition.
    pub retry_of: Option<JobId>,
    /// What the caller wants to remember with it: the text of a JSON object.
    pub metadata: Option<String>,
    /// What a client library says that sends lost requests again by itself.
    pub resendable: Option<Resendable>,
    /// More waiting jobs than this of its caller are refused; those of former lives of the process
    /// do not count.
    pub max_queued: Option<u64>,
}

/// What became of a submitted request.
#[derive(Debug)]
pub enum Submitted {
    /// A new job; the caller waits at it.
    New(Ticket),
    /// The job of an earlier request with the same key, or of the same request that is sent again;
    /// the caller waits at it too.
    Attached(Ticket),
    /// The job of an earlier request with the same key has ended: its answer is in the store.
    Ended(Box<Job>),
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// As many jobs wait as may.
    #[error("queue is full: {waiting} jobs wait")]
    QueueFull {
        /// How many wait.
        waiting: u64,
    },
    /// As many jobs of this caller wait as may.
    #[error("queue is full for this caller: {waiting} of its jobs wait")]
    CallerQueueFull {
        /// How many wait.
        waiting: u64,
    },
    /// Foreman shuts down.
    #[error("foreman is shutting down")]
    ShuttingDown,
    /// The store did not take it, or cannot say whether it did.
    #[error("accept job {id}")]
    Store {
        /// The id that it has if it was accepted after all.
        id: JobId,
        /// What the store said.
        #[source]
        source: StoreError,
    },
}

/// What the parts of the scheduler share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) live: LiveJobs,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) transitions: broadcast::Sender<Arc<Transition>>,
    /// Wakes the worker: something may be ready.
    pub(crate) ready: Arc<Notify>,
    /// Tells the worker what will probably come next.
    pub(crate) guesses: Guesses,
    pub(crate) heads: Heads,
    /// Wakes the timekeeper: something may be due earlier than it knows.
    pub(crate) due: Notify,
    /// Wakes the retention: a job has ended.
    pub(crate) ended: Notify,
    pub(crate) max_queue: u64,
    pub(crate) max_attempts: u32,
    /// Set at the beginning of the shutdown.
    pub(crate) draining: CancellationToken,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) pauses: Pauses,
    /// Whether the models that are loaded may be others than were seen.
    pub(crate) disturbance: Disturbance,
    learned: Mutex<Learned>,
    /// Models to be unloaded when their drain ends; one entry per model.
    unloads: Mutex<Vec<Unloading>>,
    /// The model that no caller unloads.
    pinned: Option<Pinned>,
}

/// What is to be done about a wish to unload a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unload {
    /// Nothing runs on it or waits for it: the wish can be passed on.
    Now,
    /// It is noted, and done when the drain of that model ends; for the embedding model never.
    Deferred,
}

/// The way in: cheap to clone, usable from any task.
#[derive(Debug, Clone)]
pub struct SchedulerHandle {
    pub(crate) shared: Arc<Shared>,
}

impl Shared {
    pub(crate) fn new(
        parts: &Parts,
        live: LiveJobs,
        config: &SchedulerConfig,
        draining: CancellationToken,
    ) -> Self {
        let inventory = parts.inventory.clone();
        let embed_model = config.embed_model.as_deref();
        Self {
            store: Arc::clone(&parts.store),
            clock: Arc::clone(&parts.clock),
            random: Arc::clone(&parts.random),
            live,
            watchers: Arc::default(),
            transitions: broadcast::Sender::new(transition::BACKLOG),
            ready: parts.store.arrivals(),
            guesses: Guesses::default(),
            heads: Heads::default(),
            due: Notify::new(),
            ended: Notify::new(),
            max_queue: config.max_queue,
            max_attempts: config.retry.max_attempts,
            draining,
            status: watch::Sender::new(Status::default()),
            pauses: Pauses::default(),
            disturbance: Disturbance::default(),
            learned: Mutex::default(),
            unloads: Mutex::default(),
            pinned: embed_model.and_then(|model| Pinned::new(model, inventory)),
        }
    }

    /// Returns what was learned about the times of runners.
    pub(crate) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there may be something to do for the worker, or this time has come; tells whether
    /// it has not.
    pub(crate) async fn woken(&self, latest: Instant) -> bool {
        tokio::select! {
            () = self.ready.notified() => true,
            () = self.draining.cancelled() => true,
            () = tokio::time::sleep_until(latest) => false,
        }
    }

    /// Returns what scheduling needs of a request; none when it cannot be read any more.
    pub(crate) fn head_of(
        &self,
        id: JobId,
        endpoint: Endpoint,
        request: &StoredRequest,
    ) -> Option<RequestHead> {
        let known = self.heads.take(id);
        known.or_else(|| head_of(endpoint, request))
    }

    /// Returns the running job.
    pub(crate) fn running(&self) -> Option<JobId> {
        self.status.borrow().running.as_ref().map(|job| job.id)
    }

    /// Shows that a job does not run any more; the next one may be shown already.
    pub(crate) fn show_ended(&self, id: JobId, metrics: &Metrics) {
        let swaps_avoided = metrics.swaps_avoided();
        let swaps = metrics.swaps();
        self.status.send_modify(|status| {
            if status.running.as_ref().is_some_and(|it| it.id == id) {
                status.running = None;
            }
            status.swaps = swaps;
            status.swaps_avoided = swaps_avoided;
        });
    }

    /// Tells whether the runner holds the model that stays loaded.
    pub(crate) fn pins(&self, runner: &RunnerKey) -> bool {
        self.pinned.as_ref().is_some_and(|pinned| pinned.is(runner))
    }

    /// Takes the wishes to unload this runner's model.
    pub(crate) fn take_unloads(&self, runner: &RunnerKey) -> Vec<Unloading> {
        let mut unloads = self.unloads.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, left) = std::mem::take(&mut *unloads)
            .into_iter()
            .partition(|unloading| unloading.runner.weights() == runner.weights());
        *unloads = left;
        taken
    }

    fn note_unload(&self, unloading: Unloading) {
        let mut unloads = self.unloads.lock().unwrap_or_else(PoisonError::into_inner);
        unloads.retain(|other| other.runner.weights() != unloading.runner.weights());
        unloads.push(unloading);
    }
}

impl NewRequest {
    pub(crate) fn resend_key(&self) -> Option<RequestKey> {
        self.resendable.map(|resendable| RequestKey {
            caller: self.caller.clone(),
            endpoint: self.endpoint,
            body_hash: resendable.body_hash,
        })
    }
}

impl SchedulerHandle {
    /// Makes a request durable as a job and lets the caller wait at it.
    ///
    /// # Errors
    ///
    /// See [`SubmitError`]; after [`StoreError::Unknown`] the job may run although the caller was
    /// told of no id.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future says that the caller has left: the job, if it came to be, is cancelled.
    pub fn submit(
        &self,
        request: NewRequest,
    ) -> impl Future<Output = Result<Submitted, SubmitError>> + Send {
        // In its box: as a part of futures within futures it would be in each of them.
        let request = Box::new(request);
        async move {
            let key = request.resend_key();
            if !self.shared.draining.is_cancelled()
                && let Some(ticket) = self.take_over(&request, key.as_ref())
            {
                return Ok(Submitted::Attached(ticket));
            }
            match self.accept(request).await? {
                Entered::New(attachment, _) => Ok(Submitted::New(Ticket::new(attachment))),
                Entered::Existing(job) => Box::pin(self.join(job)).await,
            }
        }
    }

    /// Cancels a job.
    ///
    /// A queued one never reaches the target; a running one is stopped and its connection to the
    /// target closed.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn cancel(&self, id: JobId) -> Result<Withdrawal, StoreError> {
        crate::leavers::withdraw(&self.shared, id, "cancelled on request").await
    }

    /// Judges a wish to unload a model, and notes one that cannot be fulfilled now.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn unload(&self, model: &str, runner: &RunnerKey) -> Result<Unload, StoreError> {
        if self.shared.pins(runner) {
            return Ok(Unload::Deferred);
        }
        let status = self.status();
        let current = status.runner.filter(|it| it.weights() == runner.weights());
        let runs = status.running.is_some() && current.is_some();
        let waits = self.shared.store.has_ready(runner).await?
            || match &current {
                Some(current) => self.shared.store.has_ready(current).await?,
                None => false,
            };
        if !runs && !waits {
            self.note_work_beside_jobs();
            return Ok(Unload::Now);
        }
        self.shared.note_unload(Unloading {
            model: model.to_owned(),
            runner: runner.clone(),
        });
        Ok(Unload::Deferred)
    }

    /// Notes that the target is sent something that is no job and may load or unload a model: an
    /// embedding, say. What is known of the models that are loaded is then read again before the next
    /// job that comes after a rest.
    pub fn note_work_beside_jobs(&self) {
        self.shared.disturbance.note();
    }

    /// Forgets a job with its bodies, unless it runs; a queued one is cancelled by that.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn delete(&self, id: JobId) -> Result<Deletion, StoreError> {
        crate::leavers::delete(&self.shared, id).await
    }

    /// Listens to the changes of all jobs from now on; who is slow misses the oldest.
    pub fn transitions(&self) -> broadcast::Receiver<Arc<Transition>> {
        self.shared.transitions.subscribe()
    }

    /// Returns what the scheduler does now.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// Follows what the scheduler does.
    pub fn subscribe(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// Returns how many attempts of a job may fail before it does.
    pub fn max_attempts(&self) -> u32 {
        self.shared.max_attempts
    }

    /// Returns the store, for reading.
    pub fn store(&self) -> &Arc<dyn QueueStore> {
        &self.shared.store
    }

    /// Lets a caller wait at the job of an earlier request with the same key.
    async fn join(&self, job: Box<Job>) -> Result<Submitted, SubmitError> {
        if job.progress.state.is_terminal() {
            return Ok(Submitted::Ended(job));
        }
        let id = job.id;
        let mut attachment = self.shared.live.join(&job);
        // It may have ended between the look and the attachment: then nobody tells this caller.
        let now = self.shared.store.job(id).await;
        let now = now.map_err(|source| SubmitError::Store { id, source })?;
        match now {
            Some(now) if now.progress.state.is_terminal() => {
                attachment.finish();
                self.shared.live.remove(id);
                Ok(Submitted::Ended(Box::new(now)))
            }
            Some(_) | None => Ok(Submitted::Attached(Ticket::new(attachment))),
        }
    }

    /// Gives the sender of a request that was sent before the place of the first sending.
    fn take_over(&self, request: &NewRequest, key: Option<&RequestKey>) -> Option<Ticket> {
        request.resendable.filter(|it| it.is_resend)?;
        let ticket = Ticket::new(self.shared.live.take_over(key?)?);
        info!(job = %ticket.id(), model = request.model, "a request that was sent again finds its job");
        Some(ticket)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
