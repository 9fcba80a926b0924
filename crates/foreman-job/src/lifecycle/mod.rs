//! The life of a job as one pure function.
//!
//! [`step`] is the only place that knows which change of a job is legal and what it does to the
//! counters. The store applies it within the transaction that writes the result, and the
//! database's own trigger refuses what this table does not allow.
//!
//! | event | from | to | attempt | epoch |
//! |---|---|---|---|---|
//! | [`Claim`](Event::Claim) | queued | loading | | +1 |
//! | [`Start`](Event::Start) | loading | working | | = |
//! | [`Finish`](Event::Finish) | loading, working | done | | = |
//! | [`Retry`](Event::Retry) | loading, working | queued | +1 where it counts | = |
//! | [`Fail`](Event::Fail) | loading, working | failed | +1 where it counts | = |
//! | [`Abort`](Event::Abort) | loading, working | cancelled | | = |
//! | [`Release`](Event::Release) | loading, working | queued | | = |
//! | [`Cancel`](Event::Cancel) | queued | cancelled | | |
//! | [`Cancel`](Event::Cancel) | loading, working | the same, with the wish noted | | |
//! | [`Reject`](Event::Reject) | queued | failed | | |
//! | [`Recover`](Event::Recover) | loading, working | queued, cancelled or failed | | |
//!
//! Everything else is an [`IllegalTransition`]. An event that carries an epoch is one of the run
//! that was given that epoch at its claim; after a newer claim it is refused, so a late writer
//! cannot disturb its successor.

use std::fmt;

use crate::{JobState, Timestamp};

/// A job found running at this many crashes of foreman is not run again.
pub const MAX_CRASHES: u32 = 3;

/// Fences late writers: grows by one at every claim, never shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(u64);

impl Epoch {
    /// Takes a stored epoch.
    pub const fn new(epoch: u64) -> Self {
        Self(epoch)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }

    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The part of a job that changes during its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Where it is.
    pub state: JobState,
    /// Dispatches that failed on the connection or the target; bounded by the retry policy.
    pub attempt: u32,
    /// Claims so far.
    pub epoch: Epoch,
    /// Crashes of foreman that found it running.
    pub crashes: u32,
    /// When it may be claimed again; none: at once. Only a queued job has one.
    pub retry_at: Option<Timestamp>,
    /// Whether somebody asked to cancel it while it ran.
    pub cancel_requested: bool,
}

/// Something that happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A slot takes it.
    Claim,
    /// The target's first byte came.
    Start {
        /// The run.
        epoch: Epoch,
    },
    /// The answer is complete.
    Finish {
        /// The run.
        epoch: Epoch,
    },
    /// The attempt failed and is repeated.
    Retry {
        /// The run.
        epoch: Epoch,
        /// Whether the attempt counts.
        spends_attempt: bool,
        /// When it may be claimed again; none: at once.
        retry_at: Option<Timestamp>,
    },
    /// The attempt failed and the job with it.
    Fail {
        /// The run.
        epoch: Epoch,
        /// Whether the attempt counts.
        spends_attempt: bool,
    },
    /// The run was stopped because somebody asked to, or the caller left.
    Abort {
        /// The run.
        epoch: Epoch,
    },
    /// Foreman shuts down before the run could end.
    Release {
        /// The run.
        epoch: Epoch,
    },
    /// Somebody asks to cancel it, or the caller left.
    Cancel,
    /// It is refused before it ever ran (again): expired.
    Reject,
    /// Foreman starts after it ended without settling this job.
    Recover,
}

/// The outcome of a legal event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The job afterwards.
    pub progress: Progress,
    /// What happens to its slot.
    pub slot: SlotEffect,
}

/// What an event does to the slot of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotEffect {
    /// Nothing: the job keeps it, or has none.
    Keep,
    /// The job takes it.
    Take,
    /// The job gives it back.
    Free,
}

/// An event that the job's state or epoch does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    /// The state does not allow it.
    #[error("a {from} job cannot {event}")]
    State {
        /// The state the job is in.
        from: JobState,
        /// What was to happen.
        event: &'static str,
    },
    /// The run that reports it was replaced by a newer claim.
    #[error("epoch {given} is lost, the job is at epoch {current}")]
    Epoch {
        /// The epoch of the run.
        given: Epoch,
        /// The epoch of the job.
        current: Epoch,
    },
}

impl Progress {
    /// Returns the progress of a job that was just accepted.
    pub const fn accepted() -> Self {
        Self {
            state: JobState::Queued,
            attempt: 0,
            epoch: Epoch::new(0),
            crashes: 0,
            retry_at: None,
            cancel_requested: false,
        }
    }
}

impl Event {
    /// Returns what happens, as a verb for messages.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Claim => "be claimed",
            Self::Start { .. } => "start",
            Self::Finish { .. } => "finish",
            Self::Retry { .. } => "be retried",
            Self::Fail { .. } => "fail",
            Self::Abort { .. } => "be aborted",
            Self::Release { .. } => "be released",
            Self::Cancel => "be cancelled",
            Self::Reject => "be rejected",
            Self::Recover => "be recovered",
        }
    }

    const fn epoch(&self) -> Option<Epoch> {
        match *self {
            Self::Start { epoch }
            | Self::Finish { epoch }
            | Self::Retry { epoch, .. }
            | Self::Fail { epoch, .. }
            | Self::Abort { epoch }
            | Self::Release { epoch } => Some(epoch),
            Self::Claim | Self::Cancel | Self::Reject | Self::Recover => None,
        }
    }
}

/// Applies an event to a job.
///
/// # Errors
///
/// [`IllegalTransition`] when the state does not allow the event or the event's epoch is not the
/// job's; the job is then unchanged.
pub fn step(now: &Progress, event: &Event) -> Result<Next, IllegalTransition> {
    if let Some(given) = event.epoch()
        && given != now.epoch
    {
        return Err(IllegalTransition::Epoch {
            given,
            current: now.epoch,
        });
    }
    match now.state {
        JobState::Queued => from_queued(now, event),
        JobState::Loading => from_loading(now, event),
        JobState::Working => from_running(now, event),
        JobState::Done | JobState::Failed | JobState::Cancelled => Err(illegal(now, event)),
    }
}

fn from_queued(now: &Progress, event: &Event) -> Result<Next, IllegalTransition> {
    match *event {
        Event::Claim if now.retry_at.is_none() => Ok(Next {
            progress: Progress {
                state: JobState::Loading,
                epoch: now.epoch.next(),
                ..*now
            },
            slot: SlotEffect::Take,
        }),
        Event::Cancel => Ok(ended(now, JobState::Cancelled, SlotEffect::Keep)),
        Event::Reject => Ok(ended(now, JobState::Failed, SlotEffect::Keep)),
        Event::Claim
        | Event::Start { .. }
        | Event::Finish { .. }
        | Event::Retry { .. }
        | Event::Fail { .. }
        | Event::Abort { .. }
        | Event::Release { .. }
        | Event::Recover => Err(illegal(now, event)),
    }
}

fn from_loading(now: &Progress, event: &Event) -> Result<Next, IllegalTransition> {
    if let Event::Start { .. } = event {
        let progress = Progress {
            state: JobState::Working,
            ..*now
        };
        return Ok(Next {
            progress,
            slot: SlotEffect::Keep,
        });
    }
    from_running(now, event)
}

fn from_running(now: &Progress, event: &Event) -> Result<Next, IllegalTransition> {
    match *event {
        Event::Finish { .. } => Ok(ended(now, JobState::Done, SlotEffect::Free)),
        Event::Abort { .. } => Ok(ended(now, JobState::Cancelled, SlotEffect::Free)),
        Event::Fail { spends_attempt, .. } => {
            let counted = spend(now, spends_attempt);
            Ok(ended(&counted, JobState::Failed, SlotEffect::Free))
        }
        // A wish to cancel outlives the attempt that it met.
        Event::Retry { .. } | Event::Release { .. } if now.cancel_requested => {
            Ok(ended(now, JobState::Cancelled, SlotEffect::Free))
        }
        Event::Retry {
            spends_attempt,
            retry_at,
            ..
        } => Ok(requeued(&spend(now, spends_attempt), retry_at)),
        Event::Release { .. } => Ok(requeued(now, None)),
        Event::Cancel => Ok(Next {
            progress: Progress {
                cancel_requested: true,
                ..*now
            },
            slot: SlotEffect::Keep,
        }),
        Event::Recover => Ok(recovered(now)),
        Event::Claim | Event::Start { .. } | Event::Reject => Err(illegal(now, event)),
    }
}

/// Decides what becomes of a job that was running when foreman ended without settling it.
fn recovered(now: &Progress) -> Next {
    let crashed = Progress {
        crashes: now.crashes.saturating_add(1),
        ..*now
    };
    if crashed.cancel_requested {
        ended(&crashed, JobState::Cancelled, SlotEffect::Free)
    } else if crashed.crashes >= MAX_CRASHES {
        ended(&crashed, JobState::Failed, SlotEffect::Free)
    } else {
        requeued(&crashed, None)
    }
}

const fn spend(now: &Progress, spends_attempt: bool) -> Progress {
    let mut counted = *now;
    if spends_attempt {
        counted.attempt = counted.attempt.saturating_add(1);
    }
    counted
}

const fn ended(now: &Progress, state: JobState, slot: SlotEffect) -> Next {
    let mut progress = *now;
    progress.state = state;
    progress.retry_at = None;
    Next { progress, slot }
}

const fn requeued(now: &Progress, retry_at: Option<Timestamp>) -> Next {
    let mut progress = *now;
    progress.state = JobState::Queued;
    progress.retry_at = retry_at;
    Next {
        progress,
        slot: SlotEffect::Free,
    }
}

const fn illegal(now: &Progress, event: &Event) -> IllegalTransition {
    IllegalTransition::State {
        from: now.state,
        event: event.verb(),
    }
}

#[cfg(test)]
mod tests;
