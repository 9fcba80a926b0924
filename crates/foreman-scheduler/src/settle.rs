//! Where every running job ends.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::{Job, JobFailure, JobState, RetryDecision};
use foreman_store::{AnswerHead, Answered, Claimed, Outcome, RunLog, Settlement, StoreError};
use tracing::{error, warn};

use crate::attempt::{Attempt, Closing};
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
    /// Makes the outcome durable, and only then shows its end to the callers.
    ///
    /// # Errors
    ///
    /// When the store cannot keep the outcome: nothing more may be run then.
    pub(crate) async fn run(mut self) -> Result<Job, StoreError> {
        let log = self.log.take();
        let job = match self.make_durable(log).await {
            Ok(job) => job,
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
        Ok(job)
    }

    /// Commits the outcome; a busy database is waited for, on a full disk the answer's body is
    /// given up before the outcome is.
    async fn make_durable(&self, log: Option<RunLog>) -> Result<Job, StoreError> {
        let job = &self.claimed.job;
        let mut settlement = Settlement {
            seq: job.seq,
            epoch: job.progress.epoch,
            now: self.shared.clock.now(),
            outcome: self.verdict.outcome.clone(),
            log,
        };
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
    settling: Settling,
    metrics: Metrics,
    took: Duration,
) -> Result<(), StoreError> {
    let shared = Arc::clone(&settling.shared);
    let id = settling.claimed.job.id;
    let settled = settling.run().await;
    shared.show_ended(id, &metrics);
    match settled {
        Ok(job) => {
            metrics.settled(&job, took);
            Ok(())
        }
        Err(StoreError::Lost(error)) => {
            error!(job = %id, %error, "the run was replaced; its outcome is dropped");
            Ok(())
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
