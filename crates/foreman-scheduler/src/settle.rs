//! Where every running job ends.

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use foreman_job::{Job, JobFailure, JobState, RetryDecision};
use foreman_store::{AnswerHead, Answered, Claimed, Outcome, RunLog, Settlement, StoreError};
use futures_util::future::{Either, select};
use tracing::{error, warn};

use crate::attempt::{Attempt, Closing};
use crate::claiming::{Claiming, may_be_claimed_later};
use crate::handle::Shared;
use crate::live::LiveJob;
use crate::metrics::Metrics;
use crate::spool::{Ending, Opening};
use crate::transition;
use crate::worker::Worker;

/// Pause before a settlement that met a busy database is tried again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// An attempt whose fate is decided.
struct Verdict {
    outcome: Outcome,
    /// Why, for the log.
    reason: String,
    /// What the caller gets to see once the outcome is durable.
    closing: Option<Closing>,
    failure: Option<JobFailure>,
}

/// The end of a claim on its way to the disk and to the callers.
pub(crate) struct Settling {
    shared: Arc<Shared>,
    claimed: Claimed,
    live: Arc<LiveJob>,
    verdict: Verdict,
    log: Option<RunLog>,
}

/// What came of the end of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is durable, or the run was replaced.
    Noted,
    /// There was no claim.
    Unclaimed,
}

impl Worker {
    /// Decides how a claim ends.
    pub(crate) fn settling(
        &self,
        claimed: Claimed,
        live: Arc<LiveJob>,
        attempt: Attempt,
    ) -> Settling {
        let verdict = self.judge(&claimed, &live, attempt);
        let last = verdict
            .closing
            .as_ref()
            .and_then(|closing| closing.last.as_ref());
        let log = self.run_log(&claimed, &live, last);
        live.set_settling(true);
        Settling {
            shared: Arc::clone(&self.shared),
            claimed,
            live,
            verdict,
            log,
        }
    }

    fn judge(&self, claimed: &Claimed, live: &LiveJob, attempt: Attempt) -> Verdict {
        match attempt {
            Attempt::Complete { closing, usage } => {
                let head = head(live, &closing);
                Verdict {
                    outcome: Outcome::Done {
                        answer: Answered { head, usage },
                    },
                    reason: "answer is complete".to_owned(),
                    closing: Some(closing),
                    failure: None,
                }
            }
            Attempt::Failed {
                failure,
                retry_after: _,
                closing,
            } => self.judge_failure(claimed, live, failure, closing),
            Attempt::Aborted => Verdict::without_answer(Outcome::Cancelled, "nobody wants it"),
            Attempt::Released => Verdict::without_answer(Outcome::Released, "shutting down"),
        }
    }

    fn judge_failure(
        &self,
        claimed: &Claimed,
        live: &LiveJob,
        failure: JobFailure,
        closing: Option<Closing>,
    ) -> Verdict {
        let forwarded = live.spool.is_open() && live.has_caller();
        let decision = self.config.retry.decide(
            failure.kind,
            claimed.job.progress.attempt,
            forwarded,
            self.shared.random.unit(),
        );
        let reason = format!("{}: {failure}", failure.kind);
        match decision {
            RetryDecision::Retry {
                spends_attempt,
                delay,
            } => Verdict::without_answer(
                Outcome::Retry {
                    failure,
                    spends_attempt,
                    retry_at: rest(delay).map(|rest| self.shared.clock.now().saturating_add(rest)),
                },
                reason,
            ),
            RetryDecision::Fail => Verdict {
                outcome: Outcome::Failed {
                    spends_attempt: failure.kind.spends_attempt(),
                    answer: closing.as_ref().map(|closing| Answered {
                        head: head(live, closing),
                        usage: None,
                    }),
                    failure: failure.clone(),
                },
                reason,
                closing,
                failure: Some(failure),
            },
        }
    }
}

impl Settling {
    /// Returns the place of its job.
    pub(crate) const fn seq(&self) -> i64 {
        self.claimed.job.seq
    }

    /// Tells whether the answer is complete.
    pub(crate) const fn is_answered(&self) -> bool {
        matches!(self.verdict.outcome, Outcome::Done { .. })
    }

    /// Makes the outcome durable, and only then shows its end to the callers; none where its job was
    /// not claimed.
    ///
    /// # Errors
    ///
    /// When the store cannot keep the outcome: nothing more may be run then.
    pub(crate) async fn run(
        mut self,
        claiming: Option<Claiming>,
        metrics: &Metrics,
    ) -> Result<Option<Job>, StoreError> {
        let log = self.log.take();
        let settled = match claiming {
            None => self.make_durable(self.settlement(log)).await.map(Some),
            Some(claiming) => self.make_durable_behind(claiming, log, metrics).await,
        };
        let job = match settled {
            Ok(Some(job)) => job,
            Ok(None) => {
                self.live.set_settling(false);
                return Ok(None);
            }
            Err(error) => {
                self.shared.live.remove(self.claimed.job.id);
                let attempt = self.claimed.job.progress.attempt;
                self.live.spool.end(None, Ending::Unknown, attempt);
                return Err(error);
            }
        };
        let Self {
            shared,
            live,
            verdict,
            ..
        } = self;
        transition::publish(&shared, &job, live.take_state(), &verdict.reason);
        conclude(&shared, &job, &live, verdict);
        if job.progress.state.is_terminal() {
            shared.ended.notify_one();
        }
        Ok(Some(job))
    }

    /// Commits the outcome behind a claim that was sent before; none where nothing was claimed.
    async fn make_durable_behind(
        &self,
        claiming: Claiming,
        log: Option<RunLog>,
        metrics: &Metrics,
    ) -> Result<Option<Job>, StoreError> {
        let id = self.claimed.job.id;
        let mut settlement = self.settlement(log);
        let claim = pin!(claiming.answer_of(id, &self.shared));
        let settling = pin!(self.make_durable(settlement.clone()));
        let (claim, settled) = match select(claim, settling).await {
            Either::Left((claim, settling)) => (claim, Either::Left(settling)),
            Either::Right((settled, claim)) => (claim.await, Either::Right(ready(settled))),
        };
        match claim {
            Ok(Some(Claimed { job, reason, .. })) => {
                transition::claimed(&self.shared, &job, reason, metrics);
                match settled.await {
                    // It came before the job was there.
                    Err(StoreError::NotFound | StoreError::Lost(_)) => {
                        settlement.seq = Some(job.seq);
                        self.make_durable(settlement).await.map(Some)
                    }
                    settled => settled.map(Some),
                }
            }
            Ok(None) => Ok(None),
            Err(error) if may_be_claimed_later(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn settlement(&self, log: Option<RunLog>) -> Settlement {
        let job = &self.claimed.job;
        Settlement {
            id: job.id,
            // A job that was begun while it was accepted has none yet.
            seq: (job.seq > 0).then_some(job.seq),
            epoch: job.progress.epoch,
            now: self.shared.clock.now(),
            outcome: self.verdict.outcome.clone(),
            log,
        }
    }

    /// Commits the outcome; a busy database is waited for, on a full disk the answer's body is
    /// given up before the outcome is.
    async fn make_durable(&self, mut settlement: Settlement) -> Result<Job, StoreError> {
        let job = &self.claimed.job;
        loop {
            match self.shared.store.settle(settlement.clone()).await {
                Err(StoreError::Busy) => {
                    warn!(job = %job.id, "another process holds the database; trying again");
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(StoreError::Full(reason)) if settlement.log.is_some() => {
                    error!(job = %job.id, reason, "disk is full: the answer is not kept");
                    settlement.log = None;
                }
                end => return end,
            }
        }
    }
}

/// Shows the durable outcome to the callers.
fn conclude(shared: &Shared, job: &Job, live: &LiveJob, verdict: Verdict) {
    let attempt = job.progress.attempt;
    match job.progress.state {
        JobState::Done | JobState::Failed => {
            shared.live.remove(job.id);
            live.conclude(job, verdict.closing, verdict.failure);
        }
        JobState::Cancelled => {
            shared.live.remove(job.id);
            live.spool.end(None, Ending::Cancelled, attempt);
        }
        JobState::Queued | JobState::Loading | JobState::Working => {
            live.spool.reset();
            live.set_settling(false);
            if shared.draining.is_cancelled() {
                live.keep();
                live.spool.end(None, Ending::ShuttingDown, attempt);
            }
            if job.progress.retry_at.is_some() {
                shared.due.notify_one();
            }
        }
    }
}

/// Ends a claim, which may not be answered yet, and notes that it has ended.
///
/// # Errors
///
/// When the store cannot keep the outcome: nothing more may be run then.
pub(crate) async fn end(
    settling: Settling,
    claiming: Option<Claiming>,
    metrics: Metrics,
    took: Duration,
) -> Result<End, StoreError> {
    let shared = Arc::clone(&settling.shared);
    let id = settling.claimed.job.id;
    let settled = settling.run(claiming, &metrics).await;
    shared.show_ended(id, &metrics);
    match settled {
        Ok(Some(job)) => {
            metrics.settled(&job, took);
            Ok(End::Noted)
        }
        Ok(None) => Ok(End::Unclaimed),
        Err(StoreError::Lost(error)) => {
            error!(job = %id, %error, "the run was replaced; its outcome is dropped");
            Ok(End::Noted)
        }
        Err(error) => Err(error),
    }
}

impl Verdict {
    fn without_answer(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            closing: None,
            failure: None,
        }
    }
}

impl LiveJob {
    /// Publishes the end of the job, with what was held back of its answer.
    fn conclude(&self, job: &Job, closing: Option<Closing>, failure: Option<JobFailure>) {
        let attempt = job.progress.attempt;
        let Some(Closing { head, last }) = closing else {
            let ending = failure.map_or(Ending::Complete, Ending::Failed);
            self.spool.end(None, ending, attempt);
            return;
        };
        if let Some(head) = head {
            self.spool.open(Opening {
                head,
                attempt,
                queued: job.queued(),
                failure,
            });
        }
        self.spool.end(
            last.filter(|last| !last.is_empty()),
            Ending::Complete,
            attempt,
        );
    }
}

/// Returns the head of an answer, whether it was published or held back.
fn head(live: &LiveJob, closing: &Closing) -> AnswerHead {
    let head = closing.head.clone().or_else(|| live.spool.head());
    head.unwrap_or(AnswerHead {
        status: 200,
        headers: Vec::new(),
    })
}

fn rest(delay: Duration) -> Option<Duration> {
    (!delay.is_zero()).then_some(delay)
}
