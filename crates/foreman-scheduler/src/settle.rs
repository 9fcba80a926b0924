//! Where every running job ends.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use foreman_job::{Job, JobFailure, JobState, RetryDecision};
use foreman_store::{
    AnswerHead, Answered, Claimed, Headers, Outcome, RunLog, Settlement, StoreError,
};
use futures_util::FutureExt;
use tracing::{error, warn};

use crate::attempt::{Attempt, Closing};
use crate::claiming::{Claiming, Sent, may_be_claimed_later, sent};
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

/// What was sent before it was known what came of the claim.
pub(crate) struct Ahead {
    pub(crate) sent: Sent<Result<Job, StoreError>>,
    pub(crate) claim: AheadOf,
}

/// What is known of the claim since.
pub(crate) enum AheadOf {
    /// Not yet anything.
    Claiming(Claiming),
    /// The job is claimed.
    Claimed,
    /// It is not.
    Nothing,
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
    ) -> Box<Settling> {
        let verdict = self.judge(&claimed, &live, attempt);
        let last = verdict
            .closing
            .as_ref()
            .and_then(|closing| closing.last.as_ref());
        let log = self.run_log(&claimed, &live, last);
        live.set_settling(true);
        // In its box from the beginning: whoever takes it moves it on.
        Box::new(Settling {
            shared: Arc::clone(&self.shared),
            claimed,
            live,
            verdict,
            log,
        })
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
    pub(crate) const fn job(&self) -> &Job {
        &self.claimed.job
    }

    /// Notes what the store says of the claim.
    pub(crate) fn is_claimed(&mut self, claimed: Claimed) {
        self.claimed = claimed;
    }

    /// Sends the outcome to the store, whatever has become of the claim before it.
    pub(crate) async fn send(&self) -> Sent<Result<Job, StoreError>> {
        let (shared, log) = (Arc::clone(&self.shared), self.log.clone());
        let settlement = self.settlement(log);
        sent(async move { shared.store.settle(settlement).await }.boxed()).await
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
    async fn run(
        mut self: Box<Self>,
        ahead: Option<Ahead>,
        metrics: &Metrics,
    ) -> Result<Option<Job>, StoreError> {
        let settled = match ahead {
            None => Box::pin(self.make_durable()).await.map(Some),
            Some(ahead) => self.settled_ahead(ahead, metrics).await,
        };
        let job = match settled {
            Ok(Some(job)) => job,
            Ok(None) => {
                self.stays();
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
        } = *self;
        transition::publish(&shared, &job, live.take_state(), &verdict.reason);
        conclude(&shared, &job, &live, verdict);
        if job.progress.state.is_terminal() {
            shared.ended.notify_one();
        }
        Ok(Some(job))
    }

    /// Waits for what was sent ahead; none where nothing was claimed.
    ///
    /// What was sent is waited for in any case, so that none of it takes effect on a later run.
    async fn settled_ahead(
        &mut self,
        Ahead { mut sent, claim }: Ahead,
        metrics: &Metrics,
    ) -> Result<Option<Job>, StoreError> {
        let is_claimed = match claim {
            AheadOf::Claimed => Ok(true),
            AheadOf::Nothing => Ok(false),
            AheadOf::Claiming(claiming) => claiming.answer().await.map(|claimed| {
                // Such a claim takes its job or none.
                let claimed = claimed.filter(|it| it.job.id == self.claimed.job.id);
                let is_claimed = claimed.is_some();
                if let Some(claimed) = claimed {
                    let (job, reason) = (&claimed.job, claimed.reason);
                    transition::claimed(&self.shared, job, reason, metrics);
                    self.claimed = claimed;
                }
                is_claimed
            }),
        };
        Pin::new(&mut *sent).await;
        let settled = Pin::new(&mut *sent).take_output();
        match (is_claimed, settled.unwrap_or(Err(StoreError::Closed))) {
            (_, Ok(job)) => Ok(Some(job)),
            // It was not done, or it came before the job was there.
            (
                Ok(true),
                Err(
                    StoreError::Busy
                    | StoreError::Full(_)
                    | StoreError::NotFound
                    | StoreError::Lost(_),
                ),
            ) => Box::pin(self.make_durable()).await.map(Some),
            (Ok(false), Err(_)) => Ok(None),
            (Err(error), Err(_)) if may_be_claimed_later(&error) => Ok(None),
            (Ok(true), Err(error)) | (Err(error), Err(_)) => Err(error),
        }
    }

    /// Leaves the job as it is: it was not claimed.
    fn stays(&self) {
        self.live.set_settling(false);
        // The farewell to the waiting callers has passed over this one.
        if self.shared.draining.is_cancelled() {
            self.live.keep();
            self.live.spool.end(None, Ending::ShuttingDown, 0);
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
    async fn make_durable(&mut self) -> Result<Job, StoreError> {
        let log = self.log.take();
        let job = &self.claimed.job;
        let mut settlement = self.settlement(log);
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

/// Ends a claim, and notes that it has ended.
///
/// # Errors
///
/// When the store cannot keep the outcome: nothing more may be run then.
pub(crate) async fn end(
    settling: Box<Settling>,
    ahead: Option<Ahead>,
    metrics: Metrics,
    took: Duration,
) -> Result<End, StoreError> {
    let shared = Arc::clone(&settling.shared);
    let id = settling.claimed.job.id;
    let settled = settling.run(ahead, &metrics).await;
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
    head.unwrap_or_else(|| AnswerHead {
        status: 200,
        headers: Headers::default(),
    })
}

fn rest(delay: Duration) -> Option<Duration> {
    (!delay.is_zero()).then_some(delay)
}
