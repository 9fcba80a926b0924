//! Tells whether an answer came to its proper end.

mod detector;
mod event;
mod line;
mod whole;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use detector::EndingDetector;

/// How an answer says that it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Its last part came.
    Complete,
    /// The target says that it went wrong.
    Error {
        /// In the target's words.
        message: String,
    },
}

/// Why an answer that the target closed properly is still none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// Its last part never came.
    #[error("the answer ended without its last part")]
    NoEnding,
    /// The target says that it went wrong.
    #[error("the target ended the answer with an error")]
    Error {
        /// In the target's words; may quote the request, so it is no part of this error's text.
        message: String,
    },
}

/// What the target says an answer took; what it leaves out is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Time until the model was ready.
    pub load: Duration,
    /// Time of everything.
    pub total: Duration,
}
