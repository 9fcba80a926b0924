//! A job as it is read from the store.

use std::time::Duration;

use crate::lifecycle::Progress;
use crate::{Endpoint, JobFailure, JobId, Priority, RunnerKey, Timestamp};

/// One request to be done: durable, with one result.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Place in the queue: ascending in the order of acceptance, never used twice.
    pub seq: i64,
    /// Public name.
    pub id: JobId,
    /// The route it came in by, and is sent to.
    pub endpoint: Endpoint,
    /// The model as the caller spelled it.
    pub model: String,
    /// The runner it needs.
    pub runner: RunnerKey,
    /// Class.
    pub priority: Priority,
    /// Name of the caller's token; none when callers are anonymous.
    pub caller: Option<String>,
    /// State and counters.
    pub progress: Progress,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it was last claimed.
    pub claimed_at: Option<Timestamp>,
    /// When the target's first byte came, in the last attempt.
    pub started_at: Option<Timestamp>,
    /// When it ended for good.
    pub finished_at: Option<Timestamp>,
    /// It is not started earlier than this.
    pub not_before: Option<Timestamp>,
    /// It is not started later than this.
    pub expires_at: Option<Timestamp>,
    /// What went wrong last.
    pub failure: Option<JobFailure>,
    /// The status of the target's answer.
    pub target_status: Option<u16>,
    /// What the target reported about its work.
    pub usage: Option<Usage>,
    /// The job of which this one is a repetition.
    pub retry_of: Option<JobId>,
    /// What its caller wants to remember with it: the text of a JSON object.
    pub metadata: Option<String>,
}

impl Job {
    /// Returns how long the job waited, from its acceptance to its last claim; zero before the first.
    pub fn queued(&self) -> Duration {
        self.claimed_at
            .map_or(Duration::ZERO, |at| at.since(self.created_at))
    }
}

/// What the target reported about the work it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Time the target spent loading the model.
    pub load: Duration,
    /// Time the target spent in all.
    pub total: Duration,
}
