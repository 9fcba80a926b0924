//! A store that fails when it is told to, for the tests of those who use one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobId, RunnerKey, Timestamp};
use tokio::sync::{Notify, watch};

use crate::{
    Accepted, ClaimRequest, Claimed, Deletion, Depth, Due, Foreseen, JobFilter, JobList, LogPage,
    NewJob, Purge, Purged, QueueCounts, QueueStore, Recovery, RunLog, Settlement, Standing,
    Standings, StoreError, StoreHealth, StoredAnswer, StoredRequest, UnknownCause, Withdrawal,
};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and says so.
    Before,
    /// It does everything and nobody learns of it: [`StoreError::Unknown`]. As the real store does
    /// then, it refuses every later call with [`StoreError::Failed`].
    After,
}

/// Passes everything on to another store, and fails one call.
///
/// Only calls that change something are counted: reads fail once the store has failed.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn QueueStore>,
    state: Mutex<State>,
    health: watch::Sender<StoreHealth>,
}

#[derive(Debug, Default)]
struct State {
    calls: u64,
    plan: Option<(u64, Fault)>,
    struck: Option<&'static str>,
}

/// What a call that was told to fail says: the source of a [`StoreError::Database`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} was told to fail")]
pub struct ToldToFail(pub &'static str);

impl Faulty {
    /// Passes everything on.
    pub fn new(inner: Arc<dyn QueueStore>) -> Self {
        Self {
            inner,
            state: Mutex::default(),
            health: watch::Sender::new(StoreHealth::Ok),
        }
    }

    /// Lets the call fail that comes after so many others; the next one is number 0.
    pub fn fail(&self, after: u64, fault: Fault) {
        let mut state = self.lock();
        state.plan = Some((state.calls.saturating_add(after), fault));
    }

    /// Lets no call fail any more.
    pub fn forget_fault(&self) {
        self.lock().plan = None;
    }

    /// Returns how many calls there were that change something.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Names the call that failed as it was told.
    pub fn struck(&self) -> Option<&'static str> {
        self.lock().struck
    }

    async fn change<T>(
        &self,
        call: &'static str,
        run: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.may_read()?;
        match self.turn(call) {
            None => run.await,
            Some(Fault::Before) => Err(StoreError::Database(Box::new(ToldToFail(call)))),
            Some(Fault::After) => {
                drop(run.await);
                let reason = ToldToFail(call).to_string();
                self.health.send_replace(StoreHealth::Failed {
                    reason: reason.clone(),
                });
                Err(StoreError::Unknown(UnknownCause(reason)))
            }
        }
    }

    /// Counts a call, and says how it is to fail.
    fn turn(&self, call: &'static str) -> Option<Fault> {
        let mut state = self.lock();
        let number = state.calls;
        state.calls = number.saturating_add(1);
        let (_, fault) = state.plan.take_if(|(planned, _)| *planned == number)?;
        state.struck = Some(call);
        drop(state);
        Some(fault)
    }

    fn may_read(&self) -> Result<(), StoreError> {
        match &*self.health.borrow() {
            StoreHealth::Failed { reason } => Err(StoreError::Failed(reason.clone())),
            StoreHealth::Ok | StoreHealth::IntakeClosed { .. } => Ok(()),
        }
    }

    async fn read<T>(
        &self,
        run: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.may_read()?;
        run.await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl QueueStore for Faulty {
    async fn accept(&self, job: NewJob) -> Result<Accepted, StoreError> {
        self.change("accept", self.inner.accept(job)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>, StoreError> {
        self.change("claim", self.inner.claim(request)).await
    }

    fn foresee(&self, wish: &ClaimRequest, passed: &[i64]) -> Option<Foreseen> {
        self.inner.foresee(wish, passed)
    }

    async fn start(&self, seq: i64, epoch: Epoch, now: Timestamp) -> Result<(), StoreError> {
        self.change("start", self.inner.start(seq, epoch, now))
            .await
    }

    async fn append_events(&self, seq: i64, epoch: Epoch, log: RunLog) -> Result<u64, StoreError> {
        self.change("append_events", self.inner.append_events(seq, epoch, log))
            .await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Job, StoreError> {
        self.change("settle", self.inner.settle(settlement)).await
    }

    async fn cancel(&self, id: JobId, now: Timestamp) -> Result<Withdrawal, StoreError> {
        self.change("cancel", self.inner.cancel(id, now)).await
    }

    async fn delete(&self, id: JobId, now: Timestamp) -> Result<Deletion, StoreError> {
        self.change("delete", self.inner.delete(id, now)).await
    }

    async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.change("due", self.inner.due(now)).await
    }

    async fn recover(
        &self,
        now: Timestamp,
        latest_retry: Timestamp,
    ) -> Result<Recovery, StoreError> {
        self.change("recover", self.inner.recover(now, latest_retry))
            .await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.read(self.inner.job(id)).await
    }

    async fn request(&self, id: JobId) -> Result<Option<StoredRequest>, StoreError> {
        self.read(self.inner.request(id)).await
    }

    async fn answer(&self, id: JobId) -> Result<Option<StoredAnswer>, StoreError> {
        self.read(self.inner.answer(id)).await
    }

    async fn events(
        &self,
        id: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        self.read(self.inner.events(id, after, limit)).await
    }

    async fn list(
        &self,
        filter: JobFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<JobList, StoreError> {
        self.read(self.inner.list(filter, before, limit)).await
    }

    async fn has_ready(&self, runner: &RunnerKey) -> Result<bool, StoreError> {
        self.read(self.inner.has_ready(runner)).await
    }

    fn depths(&self) -> Vec<Depth> {
        self.inner.depths()
    }

    async fn standing(&self, job: &Job, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.read(self.inner.standing(job, now)).await
    }

    async fn standings(&self, jobs: &[Job], now: Timestamp) -> Result<Standings, StoreError> {
        self.read(self.inner.standings(jobs, now)).await
    }

    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(self.inner.oldest_queued()).await
    }

    fn counts(&self) -> QueueCounts {
        self.inner.counts()
    }

    fn arrivals(&self) -> Arc<Notify> {
        self.inner.arrivals()
    }

    async fn purge(&self, purge: Purge) -> Result<Purged, StoreError> {
        self.change("purge", self.inner.purge(purge)).await
    }

    async fn save_note(&self, name: &'static str, value: Bytes) -> Result<(), StoreError> {
        self.change("save_note", self.inner.save_note(name, value))
            .await
    }

    async fn note(&self, name: &'static str) -> Result<Option<Bytes>, StoreError> {
        self.read(self.inner.note(name)).await
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.read(self.inner.close()).await
    }
}
