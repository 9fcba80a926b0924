//! The states of a job.

use std::fmt;
use std::str::FromStr;

/// Where a job is in its life.
///
/// ```text
/// queued ──► loading ──► working ──► done | failed | cancelled
///    ▲          │           │
///    └──────────┴───────────┘   retry, crash, shutdown
/// ```
///
/// The last three are terminal: such a job never changes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobState {
    /// Waiting for its turn, or for the time of its next attempt.
    Queued,
    /// Claimed; the target has not sent a byte of the answer yet.
    Loading,
    /// The target is answering.
    Working,
    /// Answered completely; the result is stored.
    Done,
    /// Ended without a complete answer.
    Failed,
    /// Ended because its caller wanted so, or left.
    Cancelled,
}

/// A text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown job state: expected queued, loading, working, done, failed or cancelled")]
pub struct UnknownState;

impl JobState {
    /// All states, in the order of a job's life.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Loading,
        Self::Working,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Returns the word used in the database, the API and the logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Loading => "loading",
            Self::Working => "working",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Tells whether the job has ended for good.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Tells whether the job holds a slot.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Loading | Self::Working)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownState)
    }
}

impl serde::Serialize for JobState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
