//! How the worker comes to its next job: it sends the store a wish, and the policy chooses.
//!
//! While jobs wait, each claim is a step of its own. When none does, the wish is left with the store
//! for as long as it would be made the same way, and a job that arrives is claimed in the step that
//! accepts it.

use std::sync::Arc;

use foreman_job::RunnerKey;
use foreman_ollama::InventorySnapshot;
use foreman_store::{ClaimRequest, Claimed, Foreseen, StoreError};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::warn;

use crate::claiming::{Claiming, is_not_now, is_slot_taken};
use crate::early::{Early, Guess, Offer};
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
        while self.shared.store.counts().queued > 0 && !self.shared.pauses.is_all() {
            let snapshot = self.inventory.snapshot();
            let runners = self.residency.runners(self.client.as_ref(), &snapshot);
            let resident = runners.await.to_vec();
            let wish = self.wish(resident, &snapshot);
            let foreseen = if std::mem::take(&mut self.doubts) {
                None
            } else {
                self.shared.store.foresee(&wish, &self.ahead)
            };
            let Some(Foreseen { choice, claimed }) = foreseen else {
                let claimed = self.shared.store.claim(wish).await?;
                return Ok(claimed.map(|claimed| self.next(claimed, None)));
            };
            let foreseen = Some(choice);
            let wish = ClaimRequest { foreseen, ..wish };
            if let Some(next) = self.claim_foreseen(wish, claimed).await? {
                return Ok(Some(next));
            }
            self.doubts = true;
        }
        Ok(None)
    }

    /// Claims what was foreseen, and begins with it at once where it may; none where it is gone.
    async fn claim_foreseen(
        &self,
        wish: ClaimRequest,
        foreseen: Option<Claimed>,
    ) -> Result<Option<Next>, StoreError> {
        let early = foreseen.and_then(|foreseen| Some((self.early(&foreseen)?, foreseen)));
        let is_begun = early.as_ref().is_some_and(|(early, _)| early.is_whole());
        let mut claiming = Claiming::begin(&self.shared, ClaimRequest { is_begun, ..wish }).await;
        let Some((mut early, foreseen)) = early else {
            let claimed = claiming.answer().await?;
            return Ok(claimed.map(|claimed| self.next(claimed, None)));
        };
        if let Some(live) = self.shared.live.for_early_run(foreseen.job.id) {
            return Ok(Some(Next {
                claimed: foreseen,
                live,
                early: Some(early),
                claiming: Some(claiming),
            }));
        }
        tokio::select! {
            biased;
            () = claiming.answered() => {}
            () = early.head_is_there() => {}
        }
        let claimed = claiming.answer().await?;
        Ok(claimed.map(|claimed| self.next(claimed, Some(early))))
    }

    /// Goes on with what is claimed, and what was begun with where that is the same.
    pub(crate) fn next(&self, claimed: Claimed, early: Option<Box<Early>>) -> Next {
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

    /// Claims the first job that arrives, while what is known of the target stands.
    async fn claim_arrival(&mut self) -> Result<Arrival, StoreError> {
        let standing = self.residency.standing();
        let Some((resident, until)) = standing.filter(|_| !self.shared.pauses.is_all()) else {
            return Ok(Arrival::Unwaited);
        };
        let wish = self.wish(resident.to_vec(), &self.inventory.snapshot());
        let shared = Arc::clone(&self.shared);
        let mut polls = self.polls.clone();
        let mut guess = shared.guesses.wait(self.offer());
        let mut claiming = Claiming::begin_to_wait(&shared, wish, until).await;
        let woken = loop {
            tokio::select! {
                biased;
                () = claiming.answered() => {
                    return self.arrival(claiming, guess, Arrival::Unwaited).await;
                }
                Ok(Guess { job, early, dropped }) = &mut guess, if !guess.is_terminated() => {
                    if let Some(live) = shared.live.for_early_run(job.job.id) {
                        claiming.expect(dropped);
                        return Ok(Arrival::Claimed(Box::new(Next {
                            claimed: job,
                            live,
                            early: Some(early),
                            claiming: Some(claiming),
                        })));
                    }
                }
                // An end alone changes nothing for who waits.
                ended = self.one_ended(), if !self.ending.is_empty() => if ended.is_err() {
                    break ended;
                },
                Ok(()) = polls.changed() => if self.residency.hear(&polls.borrow_and_update()) {
                    break Ok(());
                },
                woken = shared.woken(until.min(Instant::now() + POLL)) => {
                    if woken || Instant::now() >= until || shared.store.counts().queued > 0 {
                        break Ok(());
                    }
                }
            }
        };
        self.polls = polls;
        // What is claimed at this moment must not be lost.
        claiming.enough();
        let arrival = self.arrival(claiming, guess, Arrival::Woken).await;
        woken?;
        arrival
    }

    /// Goes on with what the claim has found, and what was begun with it meanwhile.
    async fn arrival(
        &self,
        claiming: Claiming,
        mut guess: oneshot::Receiver<Guess>,
        none: Arrival,
    ) -> Result<Arrival, StoreError> {
        let answer = claiming.answer().await;
        // Nothing more is begun from here on.
        guess.close();
        let early = guess.try_recv().ok().map(|guess| guess.early);
        Ok(match answer {
            Ok(Some(claimed)) => Arrival::Claimed(Box::new(self.next(claimed, early))),
            Ok(None) => none,
            Err(error) => Arrival::NotClaimed(error),
        })
    }

    /// Waits while nothing is known of what is loaded, or nothing may be run.
    async fn without_wish(&mut self) -> Result<(), StoreError> {
        let mut polls = self.polls.clone();
        tokio::select! {
            paused = self.pause(POLL) => return paused,
            Ok(()) = polls.changed() => {}
        }
        self.residency.hear(&polls.borrow_and_update());
        self.polls = polls;
        Ok(())
    }

    /// Begins with a job that is about to be claimed, where its model is the one in use and new jobs
    /// are taken.
    fn early(&self, claimed: &Claimed) -> Option<Box<Early>> {
        let Claimed { job, request, .. } = claimed;
        let named = (job.id, job.endpoint, &job.runner);
        self.offer()?.begin(&self.shared, named, request.as_ref()?)
    }

    /// Says what is begun at once: jobs of the runner in use, if it is loaded.
    fn offer(&self) -> Option<Offer> {
        let runner = self.residency.current()?;
        self.residency.has(runner).then(|| Offer {
            runner: runner.clone(),
            disturbed: self.residency.disturbed(),
            client: Arc::clone(&self.client),
            keep_alive: *self.keep_alive_of(runner),
            deadlines: self.deadlines(),
        })
    }

    /// Does what is left to do when the queue is empty, and waits for a job.
    pub(crate) async fn idle(&mut self) -> Result<(), StoreError> {
        self.end_drain().await;
        match self.claim_arrival().await? {
            Arrival::Claimed(next) => {
                if next.claiming.is_none() && self.residency.is_disturbed() {
                    let snapshot = self.inventory.snapshot();
                    self.residency
                        .runners(self.client.as_ref(), &snapshot)
                        .await;
                }
                self.turn(*next).await
            }
            Arrival::Unwaited => self.without_wish().await,
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
    pub(crate) early: Option<Box<Early>>,
    /// Its claim, where that is not answered yet: then it is claimed as far as can be foreseen.
    pub(crate) claiming: Option<Claiming>,
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
