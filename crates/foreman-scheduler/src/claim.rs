//! How the worker comes to its next job: it sends the store a wish, and the policy chooses.
//!
//! While jobs wait, each claim is a step of its own. When none does, the wish is left with the store
//! for as long as it would be made the same way, and a job that arrives is claimed in the step that
//! accepts it.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use foreman_job::RunnerKey;
use foreman_ollama::InventorySnapshot;
use foreman_store::{ClaimRequest, Claimed, Likely, SlotTaken, StoreError, StoreHealth};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::attempt::{head_of, target_request};
use crate::early::{Early, Guess};
use crate::order::Situation;
use crate::worker::{POLL, Worker};

/// The slot of the worker; a target has one.
const SLOT: u32 = 0;

impl Worker {
    /// Waits before the next claim, if that can help.
    pub(crate) async fn not_claimed(&mut self, error: StoreError) -> Result<(), StoreError> {
        let is_taken = matches!(&error, StoreError::Database(cause) if cause.is::<SlotTaken>());
        if is_taken && !self.ending.is_empty() {
            // The one before has not given its slot back yet.
            return self.one_ended().await;
        }
        if matches!(error, StoreError::Busy | StoreError::Full(_)) {
            warn!("the database cannot be written now; no job is claimed");
            return self.pause(POLL).await;
        }
        Err(error)
    }

    /// Claims what the policy chooses among the jobs that wait.
    pub(crate) async fn claim(&mut self) -> Result<Option<Next>, StoreError> {
        if self.shared.store.counts().queued == 0 || self.shared.pauses.is_all() {
            return Ok(None);
        }
        let snapshot = self.inventory.snapshot();
        let runners = self.residency.runners(self.client.as_ref(), &snapshot);
        let resident = runners.await.to_vec();
        let wish = self.wish(resident, &snapshot);
        let foreseen = self.shared.store.foresee(&wish);
        let wish = ClaimRequest {
            foreseen: foreseen.as_ref().map(|foreseen| foreseen.choice),
            ..wish
        };
        let job = foreseen.and_then(|foreseen| foreseen.job);
        let mut early = job.and_then(|job| self.early(job, None));
        let mut claiming = pin!(self.shared.store.claim(wish));
        let claim = loop {
            tokio::select! {
                biased;
                claim = &mut claiming => break claim,
                () = given_up(early.as_mut()) => early = None,
            }
        };
        Ok(claim?.map(|claimed| Next::new(claimed, early)))
    }

    fn wish(&self, resident: Vec<RunnerKey>, snapshot: &InventorySnapshot) -> ClaimRequest {
        let situation = Situation {
            slot: SLOT,
            resident,
            paused: self.shared.pauses.weights(snapshot),
            now: self.shared.clock.now(),
        };
        self.order.wish(situation, &self.shared, &self.metrics)
    }

    /// Claims the first job that arrives, while what is known of the target is fresh.
    async fn claim_arrival(&mut self) -> Result<Arrival, StoreError> {
        let fresh = self.residency.fresh();
        let Some((resident, fresh_until)) = fresh.filter(|_| !self.shared.pauses.is_all()) else {
            return Ok(Arrival::Unwaited);
        };
        let wish = self.wish(resident.to_vec(), &self.inventory.snapshot());
        let shared = Arc::clone(&self.shared);
        let mut guess = shared.guesses.wait();
        let mut early: Option<Early> = None;
        let (enough, until) = oneshot::channel();
        let mut claiming = pin!(shared.store.claim_arrival(wish, until));
        let woken = loop {
            tokio::select! {
                biased;
                claim = &mut claiming => return Ok(Arrival::of(claim, early, Arrival::Unwaited)),
                Ok(Guess { job, dropped }) = &mut guess, if !guess.is_terminated() => {
                    early = self.early(job, Some(dropped));
                }
                () = given_up(early.as_mut()) => early = None,
                // An end alone changes nothing for who waits.
                ended = self.one_ended(), if !self.ending.is_empty() => if ended.is_err() {
                    break ended;
                },
                () = shared.woken(fresh_until) => break Ok(()),
            }
        };
        // What is claimed at this moment must not be lost.
        drop(enough);
        let claim = claiming.await;
        woken?;
        Ok(Arrival::of(claim, early, Arrival::Woken))
    }

    /// Begins with a job that is about to be claimed, where its model is the one in use and new jobs
    /// are taken.
    fn early(&self, job: Likely, dropped: Option<CancellationToken>) -> Option<Early> {
        let Likely {
            id,
            endpoint,
            runner,
            request,
        } = job;
        let is_in_use = self.residency.current() == Some(&runner)
            && self.residency.has(&runner)
            && !self.shared.pauses.covers(&runner);
        let is_taken = *self.shared.store.health().borrow() == StoreHealth::Ok;
        if !is_in_use || !is_taken {
            return None;
        }
        let head = head_of(endpoint, &request);
        let pin = (head.as_ref(), self.keep_alive_of(&runner));
        let request = target_request(endpoint, &request, pin, self.deadlines());
        Some(Early::begin(
            (id, dropped),
            Arc::clone(&self.client),
            (head, request),
        ))
    }

    /// Does what is left to do when the queue is empty, and waits for a job.
    pub(crate) async fn idle(&mut self) -> Result<(), StoreError> {
        self.end_drain().await;
        match self.claim_arrival().await? {
            Arrival::Claimed(next) => self.turn(*next).await,
            Arrival::Unwaited => self.pause(POLL).await,
            Arrival::Woken => Ok(()),
            Arrival::NotClaimed(error) => self.not_claimed(error).await,
        }
    }
}

/// The job to run next.
pub(crate) struct Next {
    pub(crate) claimed: Claimed,
    /// Its exchange, if that has begun.
    pub(crate) early: Option<Early>,
}

impl Next {
    fn new(claimed: Claimed, early: Option<Early>) -> Self {
        let early = early.filter(|early| early.is_of(claimed.job.id));
        Self { claimed, early }
    }
}

/// How a wait for a job ended.
enum Arrival {
    /// With a job.
    Claimed(Box<Next>),
    /// With something else that may be to be done.
    Woken,
    /// At once: nobody waited.
    Unwaited,
    /// With an error of the claim.
    NotClaimed(StoreError),
}

impl Arrival {
    fn of(claim: Result<Option<Claimed>, StoreError>, early: Option<Early>, none: Self) -> Self {
        match claim {
            Ok(Some(claimed)) => Self::Claimed(Box::new(Next::new(claimed, early))),
            Ok(None) => none,
            Err(error) => Self::NotClaimed(error),
        }
    }
}

/// Works on an exchange that has begun, until its job is known not to be accepted.
async fn given_up(early: Option<&mut Early>) {
    match early {
        Some(early) => early.given_up().await,
        None => pending().await,
    }
}
