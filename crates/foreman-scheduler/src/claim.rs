//! How the worker comes to its next job: it sends the store a wish, and the policy chooses.
//!
//! While jobs wait, each claim is a step of its own. When none does, the wish is left with the store
//! for as long as it would be made the same way, and a job that arrives is claimed in the step that
//! accepts it.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use foreman_job::RunnerKey;
use foreman_ollama::InventorySnapshot;
use foreman_store::{ClaimRequest, Claimed, Foreseen, SlotTaken, StoreError, StoreHealth};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::attempt::{head_of, target_request};
use crate::early::{Early, Guess, Likely};
use crate::live::LiveJob;
use crate::order::Situation;
use crate::worker::{POLL, Worker};

/// The slot of the worker; a target has one.
const SLOT: u32 = 0;

impl Worker {
    /// Waits before the next claim, if that can help; without an error, what was foreseen is gone.
    pub(crate) async fn not_claimed(
        &mut self,
        error: Option<StoreError>,
    ) -> Result<(), StoreError> {
        self.doubts = true;
        let Some(error) = error else {
            return Ok(());
        };
        if is_slot_taken(&error) && !self.ending.is_empty() {
            // The one before has not given its slot back yet.
            return self.one_ended().await;
        }
        if is_not_now(&error) {
            warn!("the database cannot be written now; no job is claimed");
            return self.pause(POLL).await;
        }
        Err(error)
    }

    /// Claims what the policy chooses among the jobs that wait, or begins with what it will claim.
    pub(crate) async fn claim(&mut self) -> Result<Option<Next>, StoreError> {
        if self.shared.store.counts().queued == 0 || self.shared.pauses.is_all() {
            return Ok(None);
        }
        let snapshot = self.inventory.snapshot();
        let runners = self.residency.runners(self.client.as_ref(), &snapshot);
        let resident = runners.await.to_vec();
        let wish = self.wish(resident, &snapshot);
        let foreseen = if std::mem::take(&mut self.doubts) {
            None
        } else {
            self.shared.store.foresee(&wish, &self.ahead)
        };
        if let Some(Foreseen { choice, claimed }) = foreseen {
            let foreseen = Some(choice);
            return self
                .claim_foreseen(ClaimRequest { foreseen, ..wish }, claimed)
                .await;
        }
        let claimed = self.shared.store.claim(wish).await?;
        Ok(claimed.map(|claimed| self.next(claimed, None)))
    }

    /// Claims what was foreseen, and begins with it at once where it may.
    async fn claim_foreseen(
        &mut self,
        wish: ClaimRequest,
        claimed: Option<Claimed>,
    ) -> Result<Option<Next>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let mut claiming = Claiming::begin(async move { shared.store.claim(wish).await }).await;
        let early = claimed.and_then(|claimed| Some((self.early_of(&claimed)?, claimed)));
        let Some((mut early, claimed)) = early else {
            let claimed = claiming.answer().await?;
            self.doubts = claimed.is_none();
            return Ok(claimed.map(|claimed| self.next(claimed, None)));
        };
        if let Some(live) = self.shared.live.for_early_run(claimed.job.id) {
            return Ok(Some(Next {
                claimed,
                live,
                early: Some(early),
                claiming: Some(claiming),
            }));
        }
        tokio::select! {
            biased;
            () = claiming.answered() => {}
            () = early.given_up() => {}
        }
        let claimed = claiming.answer().await?;
        self.doubts = claimed.is_none();
        Ok(claimed.map(|claimed| self.next(claimed, Some(early))))
    }

    /// Goes on with what is claimed, and what was begun with where that is the same.
    fn next(&self, claimed: Claimed, early: Option<Early>) -> Next {
        Next {
            live: self.shared.live.for_run(&claimed.job),
            early: early.filter(|early| early.is_of(claimed.job.id)),
            claimed,
            claiming: None,
        }
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
                claim = &mut claiming => return Ok(self.arrival(claim, early, Arrival::Unwaited)),
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
        Ok(self.arrival(claim, early, Arrival::Woken))
    }

    fn early_of(&self, claimed: &Claimed) -> Option<Early> {
        let Claimed { job, request, .. } = claimed;
        let job = Likely {
            id: job.id,
            endpoint: job.endpoint,
            runner: job.runner.clone(),
            request: request.clone()?,
        };
        self.early(job, None)
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

    fn arrival(&self, claim: Claim, early: Option<Early>, none: Arrival) -> Arrival {
        match claim {
            Ok(Some(claimed)) => Arrival::Claimed(Box::new(self.next(claimed, early))),
            Ok(None) => none,
            Err(error) => Arrival::NotClaimed(error),
        }
    }

    /// Does what is left to do when the queue is empty, and waits for a job.
    pub(crate) async fn idle(&mut self) -> Result<(), StoreError> {
        self.end_drain().await;
        match self.claim_arrival().await? {
            Arrival::Claimed(next) => self.turn(*next).await,
            Arrival::Unwaited => self.pause(POLL).await,
            Arrival::Woken => Ok(()),
            Arrival::NotClaimed(error) => self.not_claimed(Some(error)).await,
        }
    }
}

/// The job to run next.
pub(crate) struct Next {
    pub(crate) claimed: Claimed,
    pub(crate) live: Arc<LiveJob>,
    /// Its exchange, if that has begun.
    pub(crate) early: Option<Early>,
    /// Its claim, where that is not answered yet: then it is claimed as far as can be foreseen.
    pub(crate) claiming: Option<Claiming>,
}

/// A claim on its way to the store.
pub(crate) struct Claiming(MaybeDone<BoxFuture<'static, Claim>>);

/// How the store answers a claim.
type Claim = Result<Option<Claimed>, StoreError>;

impl Claiming {
    /// Sends it, before anything that is sent later.
    async fn begin(claim: impl Future<Output = Claim> + Send + 'static) -> Self {
        let mut claiming = maybe_done(claim.boxed());
        poll_fn(|context| {
            let _is_answered = claiming.poll_unpin(context);
            Poll::Ready(())
        })
        .await;
        Self(claiming)
    }

    /// Waits for the answer.
    ///
    /// # Cancel safety
    ///
    /// The answer is kept.
    pub(crate) async fn answered(&mut self) {
        Pin::new(&mut self.0).await;
    }

    /// Returns the answer: what was foreseen, or nothing at all.
    pub(crate) async fn answer(mut self) -> Claim {
        self.answered().await;
        Pin::new(&mut self.0).take_output().unwrap_or(Ok(None))
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

/// Tells whether a claim that failed so can be made again.
pub(crate) fn may_be_claimed_later(error: &StoreError) -> bool {
    is_slot_taken(error) || is_not_now(error)
}

fn is_slot_taken(error: &StoreError) -> bool {
    matches!(error, StoreError::Database(cause) if cause.is::<SlotTaken>())
}

const fn is_not_now(error: &StoreError) -> bool {
    matches!(error, StoreError::Busy | StoreError::Full(_))
}

/// Works on an exchange that has begun, until its job is known not to be accepted.
async fn given_up(early: Option<&mut Early>) {
    match early {
        Some(early) => early.given_up().await,
        None => pending().await,
    }
}
