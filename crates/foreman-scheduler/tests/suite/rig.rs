//! A scheduler over a store and a target in memory, under paused time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{Clock, Endpoint, Job, JobId, Priority, RunnerKey, Timestamp};
use foreman_ollama::{
    FakeOllama, FakeReply, Inventory, OllamaClient, Poller, PollerConfig, RecordedRequest,
};
use foreman_scheduler::{
    First, Metrics, NewRequest, Output, Parts, Scheduler, SchedulerConfig, SchedulerError,
    SchedulerHandle, SeededRandom, Shutdown, SubmitError, Submitted, Ticket, WhenCallerLeaves,
};
use foreman_store::{
    Accepted, ClaimRequest, Claimed, Deletion, Depth, Due, Foreseen, JobFilter, LogPage,
    MemoryStore, NewJob, Purge, Purged, QueueCounts, QueueStore, Recovery, RunLog, Settlement,
    Standing, StoreError, StoreHealth, StoredAnswer, StoredRequest, Withdrawal,
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A clock that goes with the paused clock of the runtime, and can be made to jump.
#[derive(Debug)]
pub(crate) struct PausedClock {
    since: Instant,
    jumped: AtomicI64,
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let jumped = self.jumped.load(Ordering::SeqCst);
        Timestamp::from_millis(1_000_000 + jumped).saturating_add(self.since.elapsed())
    }
}

impl PausedClock {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            jumped: AtomicI64::new(0),
        }
    }

    /// Lets time pass that the runtime does not see, as when the machine sleeps.
    pub(crate) fn jump(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.jumped.fetch_add(millis, Ordering::SeqCst);
    }
}

/// A store whose settlements wait for permits, and whose disk does.
pub(crate) struct GatedStore {
    inner: MemoryStore,
    pub(crate) settlements: Semaphore,
    /// Whether the next claim finds its request unreadable.
    pub(crate) unreadable: AtomicBool,
    /// Taken by what was accepted or settled, before it is durable.
    pub(crate) disk: Semaphore,
    /// Whether there is no room, not even for the end of a job.
    pub(crate) full: AtomicBool,
    /// Whether no new jobs are taken.
    pub(crate) closed: AtomicBool,
    /// What it says of itself.
    pub(crate) health: watch::Sender<StoreHealth>,
    /// Taken by each job before it is accepted.
    pub(crate) entries: Semaphore,
    /// Taken by each claim; what is begun later takes effect later.
    pub(crate) claims: Semaphore,
    /// Of each claim that took a job, whether it may wait for the end of its run.
    pub(crate) begun: Mutex<Vec<bool>>,
    /// The log that came with each end, where there was one.
    pub(crate) logs: Mutex<Vec<RunLog>>,
    lane: tokio::sync::Mutex<()>,
    /// What the next claim fails with.
    pub(crate) refusal: Mutex<Option<StoreError>>,
    /// Whether claims wait for jobs that arrive.
    pub(crate) waits: AtomicBool,
    /// Rung when one did.
    came: Notify,
    /// How often somebody tried to purge.
    pub(crate) purges: AtomicUsize,
}

pub(crate) struct Rig {
    pub(crate) fake: FakeOllama,
    pub(crate) store: Arc<GatedStore>,
    pub(crate) handle: SchedulerHandle,
    pub(crate) shutdown: Shutdown,
    pub(crate) inventory: Inventory,
    pub(crate) clock: Arc<PausedClock>,
    pub(crate) scheduler: JoinSet<Result<(), SchedulerError>>,
    _poller: JoinSet<()>,
}

pub(crate) fn config() -> SchedulerConfig {
    SchedulerConfig::default()
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(FakeOllama::new(), config()).await
    }

    pub(crate) async fn with(fake: FakeOllama, config: SchedulerConfig) -> Self {
        let store = Arc::new(GatedStore {
            inner: MemoryStore::new(),
            settlements: Semaphore::new(Semaphore::MAX_PERMITS),
            unreadable: AtomicBool::new(false),
            disk: Semaphore::new(Semaphore::MAX_PERMITS),
            full: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            health: watch::Sender::new(StoreHealth::Ok),
            entries: Semaphore::new(Semaphore::MAX_PERMITS),
            claims: Semaphore::new(Semaphore::MAX_PERMITS),
            begun: Mutex::default(),
            logs: Mutex::default(),
            lane: tokio::sync::Mutex::default(),
            refusal: Mutex::default(),
            waits: AtomicBool::new(false),
            came: Notify::new(),
            purges: AtomicUsize::new(0),
        });
        Self::over(fake, config, store).await
    }

    pub(crate) async fn over(
        fake: FakeOllama,
        config: SchedulerConfig,
        store: Arc<GatedStore>,
    ) -> Self {
        let client: Arc<dyn OllamaClient> = Arc::new(fake.clone());
        let wall = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        let poller = Poller::new(Arc::clone(&client), PollerConfig::default(), wall, None);
        let inventory = poller.inventory();
        let mut polling = JoinSet::new();
        polling.spawn(poller.run(CancellationToken::new()));
        inventory.refresh().await.ok();
        let queue: Arc<dyn QueueStore> = Arc::<GatedStore>::clone(&store);
        let clock = Arc::new(PausedClock::new());
        let parts = Parts {
            store: queue,
            client,
            inventory: inventory.clone(),
            clock: Arc::<PausedClock>::clone(&clock),
            random: Arc::new(SeededRandom::new(7)),
            metrics: Metrics::default(),
        };
        let shutdown = Shutdown::default();
        let scheduler = Scheduler::new(parts, config, shutdown.clone());
        let handle = scheduler.handle();
        scheduler.recover().await.unwrap();
        let mut running = JoinSet::new();
        running.spawn(scheduler.run());
        Self {
            fake,
            store,
            handle,
            shutdown,
            inventory,
            clock,
            scheduler: running,
            _poller: polling,
        }
    }

    pub(crate) async fn submit(&self, request: NewRequest) -> Ticket {
        match self.try_submit(request).await.unwrap() {
            Submitted::New(ticket) | Submitted::Attached(ticket) => ticket,
            Submitted::Ended(job) => panic!("ended: {job:?}"),
        }
    }

    pub(crate) async fn try_submit(&self, request: NewRequest) -> Result<Submitted, SubmitError> {
        self.handle.submit(request).await
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.store.job(id).await.unwrap().unwrap()
    }

    /// Waits until so many jobs are done as far as the store itself knows.
    pub(crate) async fn until_done(&self, jobs: u64) {
        while self.store.counts().done < jobs {
            settle_down().await;
        }
    }

    /// Returns the prompts in the order in which the target got them.
    pub(crate) fn prompts(&self) -> Vec<String> {
        self.fake
            .requests_to("/api/chat")
            .iter()
            .map(prompt)
            .collect()
    }
}

/// A chat with one message.
pub(crate) fn chat(model: &str, prompt: &str) -> NewRequest {
    chat_with(
        model,
        &json!({"model": model, "messages": [{"role": "user", "content": prompt}]}),
    )
}

pub(crate) fn chat_with(model: &str, body: &Value) -> NewRequest {
    NewRequest {
        endpoint: Endpoint::Chat,
        model: model.to_owned(),
        runner: RunnerKey::new(&format!("{model}:latest"), ""),
        priority: Priority::Normal,
        caller: None,
        not_before: None,
        expires_in: None,
        when_caller_leaves: WhenCallerLeaves::Cancel,
        headers: [].into(),
        body: Bytes::from(body.to_string()),
        head: None,
        idempotency: None,
        retry_of: None,
        metadata: None,
        resendable: None,
        max_queued: None,
    }
}

pub(crate) fn prompt(request: &RecordedRequest) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    body["messages"][0]["content"].as_str().unwrap().to_owned()
}

/// A streamed answer that repeats the prompt.
pub(crate) fn echo(request: &RecordedRequest) -> FakeReply {
    let text = json!({"message": {"content": prompt(request)}, "done": false}).to_string();
    FakeReply::ndjson(&[text.as_str(), DONE])
}

pub(crate) const TOKEN: &str = r#"{"message":{"role":"assistant","content":"a"},"done":false}"#;
pub(crate) const DONE: &str = r#"{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":9,"eval_count":3}"#;

pub(crate) fn busy() -> FakeReply {
    FakeReply::json(
        StatusCode::SERVICE_UNAVAILABLE,
        r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#,
    )
}

/// Waits for the answer to begin.
pub(crate) async fn output(ticket: Ticket) -> Output {
    match ticket.first().await {
        First::Answer(_, output) => output,
        First::Ended { ending, attempts } => panic!("{ending:?} after {attempts}"),
    }
}

/// Reads the answer to its end.
pub(crate) async fn text(ticket: Ticket) -> String {
    let mut output = output(ticket).await;
    let mut text = Vec::new();
    while let Some(chunk) = output.chunk().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    String::from_utf8(text).unwrap()
}

/// An answer in one piece that repeats the prompt.
pub(crate) fn whole(request: &RecordedRequest) -> FakeReply {
    let text = json!({"message": {"content": prompt(request)}, "done": true}).to_string();
    FakeReply::json(StatusCode::OK, text)
}

/// Holds the first chat until it is released, so that a queue can form behind it.
pub(crate) fn hold_first(fake: &FakeOllama) -> Arc<Notify> {
    let gate = Arc::new(Notify::new());
    let held = Mutex::new(Some(Arc::clone(&gate)));
    fake.on("/api/chat", move |request| {
        match held.lock().unwrap().take() {
            Some(gate) => echo(request).when(gate),
            None => echo(request),
        }
    });
    gate
}

/// Lets everything run that can run without time passing.
pub(crate) async fn settle_down() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

impl GatedStore {
    /// Accepts a job whatever others wait for.
    pub(crate) async fn accept_at_once(&self, job: NewJob) -> Result<Accepted, StoreError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(StoreError::Full("no room for new ones".to_owned()));
        }
        let accepted = self.inner.accept(job).await;
        self.came.notify_one();
        accepted
    }

    fn room(&self) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(StoreError::Full("no room".to_owned()));
        }
        Ok(())
    }
}

impl fmt::Debug for GatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatedStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl QueueStore for GatedStore {
    async fn accept(&self, job: NewJob) -> Result<Accepted, StoreError> {
        self.entries.acquire().await.unwrap().forget();
        let accepted = self.accept_at_once(job).await?;
        self.disk.acquire().await.unwrap().forget();
        Ok(accepted)
    }

    async fn claim_arrival(
        &self,
        request: ClaimRequest,
        mut enough: oneshot::Receiver<()>,
    ) -> Result<Option<Claimed>, StoreError> {
        loop {
            let claimed = self.claim(request.clone()).await?;
            if claimed.is_some() || !self.waits.load(Ordering::SeqCst) {
                return Ok(claimed);
            }
            tokio::select! {
                _ = &mut enough => return Ok(None),
                () = self.came.notified() => {}
            }
        }
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>, StoreError> {
        let turn = self.lane.lock().await;
        self.claims.acquire().await.unwrap().forget();
        drop(turn);
        if let Some(refusal) = self.refusal.lock().unwrap().take() {
            return Err(refusal);
        }
        let is_begun = request.is_begun;
        let mut claimed = self.inner.claim(request).await?;
        if let Some(claimed) = &mut claimed {
            self.begun.lock().unwrap().push(is_begun);
            if self.unreadable.swap(false, Ordering::SeqCst) {
                claimed.request = None;
            }
        }
        Ok(claimed)
    }

    fn foresee(&self, wish: &ClaimRequest, passed: &[i64]) -> Option<Foreseen> {
        self.inner.foresee(wish, passed)
    }

    async fn start(&self, seq: i64, epoch: Epoch, now: Timestamp) -> Result<(), StoreError> {
        self.inner.start(seq, epoch, now).await
    }

    async fn append_events(&self, seq: i64, epoch: Epoch, log: RunLog) -> Result<u64, StoreError> {
        self.inner.append_events(seq, epoch, log).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Job, StoreError> {
        drop(self.lane.lock().await);
        self.settlements.acquire().await.unwrap().forget();
        self.room()?;
        self.logs.lock().unwrap().extend(settlement.log.clone());
        let settled = self.inner.settle(settlement).await;
        self.disk.acquire().await.unwrap().forget();
        settled
    }

    async fn cancel(&self, id: JobId, now: Timestamp) -> Result<Withdrawal, StoreError> {
        self.inner.cancel(id, now).await
    }

    async fn delete(&self, id: JobId, now: Timestamp) -> Result<Deletion, StoreError> {
        self.inner.delete(id, now).await
    }

    async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.inner.due(now).await
    }

    async fn recover(
        &self,
        now: Timestamp,
        latest_retry: Timestamp,
    ) -> Result<Recovery, StoreError> {
        self.inner.recover(now, latest_retry).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.inner.job(id).await
    }

    async fn request(&self, id: JobId) -> Result<Option<StoredRequest>, StoreError> {
        self.inner.request(id).await
    }

    async fn answer(&self, id: JobId) -> Result<Option<StoredAnswer>, StoreError> {
        self.inner.answer(id).await
    }

    async fn events(
        &self,
        id: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        self.inner.events(id, after, limit).await
    }

    async fn list(
        &self,
        filter: JobFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<foreman_store::JobList, StoreError> {
        self.inner.list(filter, before, limit).await
    }

    async fn has_ready(&self, runner: &RunnerKey) -> Result<bool, StoreError> {
        self.inner.has_ready(runner).await
    }

    fn depths(&self) -> Vec<Depth> {
        self.inner.depths()
    }

    async fn standing(&self, job: &Job, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.inner.standing(job, now).await
    }

    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.oldest_queued().await
    }

    fn counts(&self) -> QueueCounts {
        self.inner.counts()
    }

    async fn purge(&self, purge: Purge) -> Result<Purged, StoreError> {
        self.purges.fetch_add(1, Ordering::SeqCst);
        self.room()?;
        self.inner.purge(purge).await
    }

    async fn save_note(&self, name: &'static str, value: Bytes) -> Result<(), StoreError> {
        self.inner.save_note(name, value).await
    }

    async fn note(&self, name: &'static str) -> Result<Option<Bytes>, StoreError> {
        self.inner.note(name).await
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
