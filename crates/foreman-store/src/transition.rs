//! What an event makes of a whole job: its progress, its times, its failure.

use std::time::Duration;

use foreman_job::lifecycle::{Epoch, Event, IllegalTransition, MAX_CRASHES, step};
use foreman_job::{FailureKind, Job, JobFailure, JobState, PickReason, Timestamp};

use crate::{Claimed, FIRST_EVENT, Outcome, Settlement, StoredRequest};

/// Applies an event and notes its time.
pub(crate) fn apply(job: &Job, event: &Event, now: Timestamp) -> Result<Job, IllegalTransition> {
    let next = step(&job.progress, event)?;
    let mut after = job.clone();
    after.progress = next.progress;
    match event {
        Event::Claim => {
            after.claimed_at = Some(now);
            after.started_at = None;
        }
        Event::Start { .. } => after.started_at = Some(now),
        Event::Finish { .. }
        | Event::Retry { .. }
        | Event::Fail { .. }
        | Event::Abort { .. }
        | Event::Release { .. }
        | Event::Cancel
        | Event::Reject
        | Event::Recover => {}
    }
    if after.progress.state.is_terminal() {
        after.finished_at = Some(now);
    }
    Ok(after)
}

impl Claimed {
    /// Returns what the first claim of a job answers, as far as that can be said before it; none of
    /// a job that rests.
    pub fn first(
        job: &Job,
        request: StoredRequest,
        reason: PickReason,
        now: Timestamp,
    ) -> Option<Self> {
        Some(Self {
            job: apply(job, &Event::Claim, now.max(job.created_at)).ok()?,
            reason,
            request: Some(request),
            // Only runs have events.
            next_event: FIRST_EVENT.saturating_add(1),
        })
    }
}

/// Ends a claim.
pub(crate) fn settle(job: &Job, settlement: &Settlement) -> Result<Job, IllegalTransition> {
    let mut after = apply(job, &event_of(settlement), settlement.now)?;
    match &settlement.outcome {
        Outcome::Done { answer } => {
            after.failure = None;
            after.target_status = Some(answer.head.status);
            after.usage = answer.usage;
        }
        Outcome::Failed {
            failure, answer, ..
        } => {
            after.failure = Some(failure.clone());
            if let Some(answer) = answer {
                after.target_status = Some(answer.head.status);
                after.usage = answer.usage;
            }
        }
        Outcome::Retry { failure, .. } => after.failure = Some(failure.clone()),
        Outcome::Cancelled | Outcome::Released => {}
    }
    Ok(after)
}

/// Decides whether a run may add to the log of a job.
pub(crate) const fn may_log(job: &Job, epoch: Epoch) -> Result<(), IllegalTransition> {
    let current = job.progress.epoch;
    if epoch.get() != current.get() {
        return Err(IllegalTransition::Epoch {
            given: epoch,
            current,
        });
    }
    if !job.progress.state.is_running() {
        return Err(IllegalTransition::State {
            from: job.progress.state,
            event: "log events",
        });
    }
    Ok(())
}

/// Fails a job that expired in the queue.
pub(crate) fn expire(job: &Job, now: Timestamp) -> Result<Job, IllegalTransition> {
    let mut after = apply(job, &Event::Reject, now)?;
    after.failure = Some(JobFailure::new(
        FailureKind::Expired,
        "the job was not started before it expired",
    ));
    Ok(after)
}

/// How long a job rests that was found running at more than one crash, so that others go first: it
/// may be what foreman dies of, or be the first in line again and again while something else is.
pub(crate) const CRASH_REST: Duration = Duration::from_secs(30);

/// Settles a job that the last life left running; where it rests, at longest until `latest_retry`.
pub(crate) fn recover(
    job: &Job,
    now: Timestamp,
    latest_retry: Timestamp,
) -> Result<Job, IllegalTransition> {
    let mut after = apply(job, &Event::Recover, now)?;
    if after.progress.state == JobState::Queued && after.progress.crashes > 1 {
        let rested = now.saturating_add(CRASH_REST).min(latest_retry);
        after.progress.retry_at = Some(rested);
    }
    if after.progress.state == JobState::Failed {
        after.failure = Some(JobFailure::new(
            FailureKind::Poison,
            format!("the job was running at {MAX_CRASHES} crashes"),
        ));
    }
    Ok(after)
}

const fn event_of(settlement: &Settlement) -> Event {
    let epoch = settlement.epoch;
    match settlement.outcome {
        Outcome::Done { .. } => Event::Finish { epoch },
        Outcome::Failed { spends_attempt, .. } => Event::Fail {
            epoch,
            spends_attempt,
        },
        Outcome::Retry {
            spends_attempt,
            retry_at,
            ..
        } => Event::Retry {
            epoch,
            spends_attempt,
            retry_at,
        },
        Outcome::Cancelled => Event::Abort { epoch },
        Outcome::Released => Event::Release { epoch },
    }
}
