//! What the scheduler does now, for health pages and metrics.

use foreman_job::{JobId, JobState, RunnerKey, Timestamp};

/// What the scheduler does now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Status {
    /// The running job.
    pub running: Option<Running>,
    /// Whether anything is sent to the target.
    pub breaker: BreakerStatus,
    /// The runner of the last claimed job.
    pub runner: Option<RunnerKey>,
    /// Swaps since the start.
    pub swaps: u64,
    /// Jobs since the start that needed no swap.
    pub swaps_avoided: u64,
}

/// The running job.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// Its id.
    pub id: JobId,
    /// Its model as the caller spelled it.
    pub model: String,
    /// `loading` or `working`.
    pub state: JobState,
    /// When it was claimed.
    pub since: Timestamp,
}

/// Whether anything is sent to the target.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum BreakerStatus {
    /// Yes.
    #[default]
    Closed,
    /// No: the target did not answer; jobs wait.
    Open {
        /// Since when.
        since: Timestamp,
        /// What was seen.
        reason: String,
    },
}
