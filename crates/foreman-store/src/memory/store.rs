//! The trait, fulfilled by a locked [`State`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobId, RunnerKey, Timestamp};
use tokio::sync::watch;

use super::state::State;
use crate::log::Span;
use crate::{
    Accepted, ClaimRequest, Claimed, Deletion, Depth, Due, Foreseen, JobFilter, JobList, LogPage,
    NewJob, Purge, Purged, QueueCounts, QueueStore, Recovery, RunLog, Settlement, Standing,
    StoreError, StoreHealth, StoredAnswer, StoredRequest, Withdrawal,
};

/// A queue that lives in memory and forgets everything with the process.
///
/// Every call is done when its future is first polled, without threads or waiting, so it works
/// under a paused clock.
#[derive(Debug)]
pub struct MemoryStore {
    /// None once the store is closed.
    state: Mutex<Option<State>>,
    health: watch::Sender<StoreHealth>,
}

impl MemoryStore {
    /// Makes an empty queue.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(Some(State::default())),
            health: watch::Sender::new(StoreHealth::Ok),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        change(self.lock().as_mut().ok_or(StoreError::Closed)?)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl QueueStore for MemoryStore {
    async fn accept(&self, job: NewJob) -> Result<Accepted, StoreError> {
        self.with(|state| state.accept(job))
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>, StoreError> {
        self.with(|state| state.claim(&request))
    }

    fn foresee(&self, wish: &ClaimRequest, passed: &[i64]) -> Option<Foreseen> {
        self.lock().as_ref()?.foresee(wish, passed)
    }

    async fn start(&self, seq: i64, epoch: Epoch, now: Timestamp) -> Result<(), StoreError> {
        self.with(|state| state.start(seq, epoch, now))
    }

    async fn append_events(&self, seq: i64, epoch: Epoch, log: RunLog) -> Result<u64, StoreError> {
        self.with(|state| state.append_events(seq, epoch, &log))
    }

    async fn settle(&self, settlement: Settlement) -> Result<Job, StoreError> {
        self.with(|state| state.settle(&settlement))
    }

    async fn cancel(&self, id: JobId, now: Timestamp) -> Result<Withdrawal, StoreError> {
        self.with(|state| state.cancel(id, now))
    }

    async fn delete(&self, id: JobId, now: Timestamp) -> Result<Deletion, StoreError> {
        self.with(|state| state.delete(id, now))
    }

    async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.with(|state| state.due(now))
    }

    async fn recover(
        &self,
        now: Timestamp,
        latest_retry: Timestamp,
    ) -> Result<Recovery, StoreError> {
        self.with(|state| state.recover(now, latest_retry))
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.with(|state| Ok(state.job(id)))
    }

    async fn request(&self, id: JobId) -> Result<Option<StoredRequest>, StoreError> {
        self.with(|state| Ok(state.request(id)))
    }

    async fn answer(&self, id: JobId) -> Result<Option<StoredAnswer>, StoreError> {
        self.with(|state| Ok(state.answer(id)))
    }

    async fn events(
        &self,
        id: JobId,
        after: u64,
        limit: usize,
    ) -> Result<Option<LogPage>, StoreError> {
        self.with(|state| Ok(state.events(id, Span { after, limit })))
    }

    async fn list(
        &self,
        filter: JobFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<JobList, StoreError> {
        self.with(|state| {
            Ok(JobList {
                jobs: state.list(&filter, before, limit),
                rest: None,
            })
        })
    }

    async fn has_ready(&self, runner: &RunnerKey) -> Result<bool, StoreError> {
        self.with(|state| Ok(state.has_ready(runner)))
    }

    fn depths(&self) -> Vec<Depth> {
        self.lock().as_ref().map(State::depths).unwrap_or_default()
    }

    async fn standing(&self, job: &Job, now: Timestamp) -> Result<Option<Standing>, StoreError> {
        self.with(|state| Ok(state.standing(job, now)))
    }

    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError> {
        self.with(|state| Ok(state.oldest_queued()))
    }

    fn counts(&self) -> QueueCounts {
        self.lock().as_ref().map(State::counts).unwrap_or_default()
    }

    async fn purge(&self, purge: Purge) -> Result<Purged, StoreError> {
        self.with(|state| Ok(state.purge(purge)))
    }

    async fn save_note(&self, name: &'static str, value: Bytes) -> Result<(), StoreError> {
        self.with(|state| {
            state.save_note(name, value);
            Ok(())
        })
    }

    async fn note(&self, name: &'static str) -> Result<Option<Bytes>, StoreError> {
        self.with(|state| Ok(state.note(name)))
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    async fn close(&self) -> Result<(), StoreError> {
        match self.lock().take() {
            Some(_) => Ok(()),
            None => Err(StoreError::Closed),
        }
    }
}
