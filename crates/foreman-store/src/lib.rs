//! Keeps foreman's jobs across restarts.
//!
//! [`QueueStore`] is the trait that the scheduler works against; it says for every method what is
//! durable when it returns and what a crash in its middle may leave behind.

mod error;
mod store;
mod types;

pub use error::{StoreError, UnknownCause};
pub use store::QueueStore;
pub use types::{
    Accepted, AnswerHead, Choose, ClaimRequest, Claimed, Due, Headers, IdempotencyKey, NewJob,
    Outcome, Purge, Purged, QueueCounts, Recovery, Settlement, StoreHealth, StoredAnswer,
    StoredRequest, Withdrawal,
};
