//! Runs that are ahead of their claims, and ends that are behind what runs.
//!
//! A complete answer does not wait for the claim of its job: the end is sent to the store behind it,
//! and the target is free for the next one.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use foreman_store::StoreError;
use tokio::task::JoinError;
use tracing::{Instrument, debug_span};

use crate::attempt::Attempt;
use crate::claim::Next;
use crate::claiming::{Claim, Claiming};
use crate::early::Early;
use crate::run::Run;
use crate::settle::{self, Ahead, AheadOf, End, Settling};
use crate::worker::Worker;

/// Claims that may be on their way to the disk at a time: as many would run again after a loss of
/// power.
const MOST_ENDING: usize = 64;

/// Jobs that may have been run before their claims are answered: as many would run again after a
/// crash.
const MOST_AHEAD: usize = 16;

/// The place of a job, and how its claim ended.
pub(crate) type Ended = (i64, Result<End, StoreError>);

impl Worker {
    /// Runs an attempt, and has its job claimed meanwhile, where that is not done yet. If the answer
    /// is complete before the claim is answered, that is left to be waited for.
    ///
    /// # Errors
    ///
    /// The answer of a claim that is not for this job.
    pub(crate) async fn run_ahead(
        &self,
        run: Run<'_>,
        early: Option<Box<Early>>,
        claiming: Option<Claiming>,
    ) -> Result<(Attempt, Option<Claiming>), Claim> {
        let job = &run.claimed.job;
        // For those who look closely: to make one costs as much as a line, and all lines name the job.
        let span = debug_span!("job", job.id = %job.id, model = job.model);
        // Boxed, since it is large and would be moved about.
        let mut attempt = Box::pin(self.attempt(run, early).instrument(span));
        let Some(mut claiming) = claiming else {
            return Ok((attempt.await, None));
        };
        let ended = tokio::select! {
            biased;
            () = claiming.answered() => None,
            ended = &mut attempt => Some(ended),
        };
        let ended = match ended {
            Some(ended @ Attempt::Complete { .. }) if self.ahead.len() < MOST_AHEAD => {
                return Ok((ended, Some(claiming)));
            }
            ended => ended,
        };
        match claiming.answer().await {
            Ok(Some(claimed)) if claimed.job.id == job.id => {
                self.begins(&claimed);
                // Nobody else tells.
                let _told = run.told.set(claimed);
            }
            other => return Err(other),
        }
        match ended {
            Some(ended) => Ok((ended, None)),
            None => Ok((attempt.await, None)),
        }
    }

    /// Sends the end of a run to the store behind its claim. Where that waits for a job, it is
    /// answered before anything else is claimed: it may have found another one, which is returned.
    pub(crate) async fn ends_ahead(
        &mut self,
        mut settling: Box<Settling>,
        claiming: Claiming,
        took: Duration,
    ) -> Result<Option<Next>, StoreError> {
        let sent = settling.send().await;
        if !claiming.waits() {
            self.ahead.push(settling.job().seq);
            let claim = AheadOf::Claiming(claiming);
            self.ends(settling, Some(Ahead { sent, claim }), took)
                .await?;
            return Ok(None);
        }
        match claiming.answer().await {
            Ok(Some(claimed)) if claimed.job.id == settling.job().id => {
                self.begins(&claimed);
                settling.is_claimed(claimed);
                let claim = AheadOf::Claimed;
                self.ends(settling, Some(Ahead { sent, claim }), took)
                    .await?;
                Ok(None)
            }
            claim => {
                let ahead = Ahead {
                    sent,
                    claim: AheadOf::Nothing,
                };
                let ended = settle::end(settling, Some(ahead), self.metrics.clone(), took);
                Box::pin(ended).await?;
                self.in_its_place(claim).await
            }
        }
    }

    /// Goes on where another job was claimed than was begun, or none.
    pub(crate) async fn in_its_place(&mut self, claim: Claim) -> Result<Option<Next>, StoreError> {
        match claim {
            Ok(Some(other)) => Ok(Some(self.next(other, None))),
            Ok(None) => self.not_claimed(None).await.map(|()| None),
            Err(error) => self.not_claimed(Some(error)).await.map(|()| None),
        }
    }

    /// Ends a claim; with an answer while the next one begins: the target is free, and waits for no
    /// disk.
    pub(crate) async fn ends(
        &mut self,
        settling: Box<Settling>,
        ahead: Option<Ahead>,
        took: Duration,
    ) -> Result<(), StoreError> {
        let (seq, is_answered) = (settling.job().seq, settling.is_answered());
        let mut end = Box::pin(settle::end(settling, ahead, self.metrics.clone(), took));
        if !is_answered {
            let ended = end.await;
            return self.noted((seq, ended));
        }
        // The first look sends it on its way to the store, before the next claim.
        let first = poll_fn(|context| Poll::Ready(end.as_mut().poll(context)));
        if let Poll::Ready(ended) = first.await {
            return self.noted((seq, ended));
        }
        self.ending.spawn(async move { (seq, end.await) });
        if self.ending.len() < MOST_ENDING {
            return Ok(());
        }
        self.one_ended().await
    }

    /// Waits until one more claim has ended.
    pub(crate) async fn one_ended(&mut self) -> Result<(), StoreError> {
        match self.ending.join_next().await {
            Some(ended) => self.joined(ended),
            None => Ok(()),
        }
    }

    /// Notes that a claim has ended; a panic goes on here.
    pub(crate) fn joined(&mut self, ended: Result<Ended, JoinError>) -> Result<(), StoreError> {
        match ended.map_err(JoinError::try_into_panic) {
            Ok(ended) => self.noted(ended),
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_cancelled)) => Ok(()),
        }
    }

    fn noted(&mut self, (seq, end): Ended) -> Result<(), StoreError> {
        self.ahead.retain(|it| *it != seq);
        self.doubts |= matches!(end?, End::Unclaimed);
        Ok(())
    }
}
