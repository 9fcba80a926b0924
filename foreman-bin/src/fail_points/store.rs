//! The points around the store.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{Job, JobId, RunnerKey, Timestamp};
use foreman_store::{
    Accepted, ClaimRequest, Claimed, Deletion, Depth, Due, Foreseen, JobFilter, JobList, LogPage,
    NewJob, Outcome, Purge, Purged, QueueCounts, QueueStore, Recovery, RunLog, Settlement,
    Standing, Standings, StoreError, StoreHealth, StoredAnswer, StoredRequest, Withdrawal,
};
use tokio::sync::{Notify, oneshot, watch};

use super::{Fuse, Point, Step};

/// A store whose changes pass the points.
#[derive(Debug)]
pub(super) struct FusedStore {
    inner: Arc<dyn QueueStore>,
    fuse: Arc<Fuse>,
}

impl FusedStore {
    pub(super) fn new(inner: Arc<dyn QueueStore>, fuse: Arc<Fuse>) -> Self {
        Self { inner, fuse }
    }

    /// Makes a change; what did nothing is not passed.
    async fn change<T>(
        &self,
        step: Step,
        change: impl Future<Output = Result<T, StoreError>> + Send,
        did_something: fn(&T) -> bool,
    ) -> Result<T, StoreError> {
        self.fuse.arm(Point::Before(step));
        let done = change.await;
        if done.as_ref().is_ok_and(did_something) {
            self.fuse.hit(Point::After(step));
        }
        done
    }
}

#[async_trait]
impl QueueStore for FusedStore {
    async fn accept(&self, job: NewJob) -> Result<Accepted, StoreError> {
        self.fuse.hit(Point::AfterReadBody);
        let accepted = self.inner.accept(job);
        self.change(Step::Accept, accepted, |it| {
            matches!(it, Accepted::New { .. })
        })
        .await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>, StoreError> {
        self.change(Step::Claim, self.inner.claim(request), Option::is_some)
            .await
    }

    async fn claim_arrival(
        &self,
        request: ClaimRequest,
        enough: oneshot::Receiver<()>,
    ) -> Result<Option<Claimed>, StoreError> {
        if self.fuse.is_set() {
            // The points around a claim lie between it and the acceptance, so none waits for that.
            return Ok(None);
        }
        self.inner.claim_arrival(request, enough).await
    }

    fn foresee(&self, wish: &ClaimRequest, passed: &[i64]) -> Option<Foreseen> {
        if self.fuse.is_set() {
            return None;
        }
        self.inner.foresee(wish, passed)
    }

    async fn start(&self, seq: i64, epoch: Epoch, now: Timestamp) -> Result<(), StoreError> {
        self.change(Step::Start, self.inner.start(seq, epoch, now), |()| true)
            .await
    }

    async fn append_events(&self, seq: i64, epoch: Epoch, log: RunLog) -> Result<u64, StoreError> {
        let appended = self.inner.append_events(seq, epoch, log);
        self.change(Step::Chunk, appended, |_| true).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Job, StoreError> {
        let step = match &settlement.outcome {
            Outcome::Retry { .. } | Outcome::Released => Step::Requeue,
            Outcome::Done { .. } | Outcome::Failed { .. } | Outcome::Cancelled => Step::Settle,
        };
        self.change(step, self.inner.settle(settlement), |_| true)
            .await
    }

    async fn cancel(&self, id: JobId, now: Timestamp) -> Result<Withdrawal, StoreError> {
        self.change(Step::Cancel, self.inner.cancel(id, now), |_| true)
            .await
    }

    async fn delete(&self, id: JobId, now: Timestamp) -> Result<Deletion, StoreError> {
        self.inner.delete(id, now).await
    }

    async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.change(Step::Promote, self.inner.due(now), |due| due.promoted > 0)
            .await
    }

    async fn recover(
        &self,
        now: Timestamp,
        latest_retry: Timestamp,
    ) -> Result<Recovery, StoreError> {
        self.fuse.hit(Point::BeforeRecovery);
        self.fuse.arm(Point::InRecovery);
        let recovery = self.inner.recover(now, latest_retry).await;
        self.fuse.hit(Point::AfterRecovery);
        recovery
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
    ) -> Result<JobList, StoreError> {
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

    async fn standings(&self, jobs: &[Job], now: Timestamp) -> Result<Standings, StoreError> {
        self.inner.standings(jobs, now).await
    }

    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.oldest_queued().await
    }

    fn arrivals(&self) -> Arc<Notify> {
        self.inner.arrivals()
    }

    fn counts(&self) -> QueueCounts {
        self.inner.counts()
    }

    async fn purge(&self, purge: Purge) -> Result<Purged, StoreError> {
        let purged = self.inner.purge(purge);
        self.change(Step::Prune, purged, |it| it.jobs + it.bodies > 0)
            .await
    }

    async fn save_note(&self, name: &'static str, value: Bytes) -> Result<(), StoreError> {
        self.inner.save_note(name, value).await
    }

    async fn note(&self, name: &'static str) -> Result<Option<Bytes>, StoreError> {
        self.inner.note(name).await
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.inner.health()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
