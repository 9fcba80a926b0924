//! Keeps foreman's jobs across restarts.
//!
//! [`QueueStore`] is the trait that the scheduler works against; it says for every method what is
//! durable when it returns and what a crash in its middle may leave behind.

#[cfg(any(test, feature = "contract"))]
pub mod contract;

mod error;
mod memory;
mod sqlite;
mod store;
mod transition;
mod types;

pub use error::{SlotTaken, StoreError, TakenId, UnknownCause};
pub use memory::MemoryStore;
pub use sqlite::{FreeSpace, OpenError, SqliteConfig, SqliteStore, StoreStats, Synchronous};
pub use store::QueueStore;
pub use types::{
    Accepted, AnswerHead, Choose, ClaimRequest, Claimed, Due, Headers, IdempotencyKey, NewJob,
    Outcome, Purge, Purged, QueueCounts, Recovery, Settlement, StoreHealth, StoredAnswer,
    StoredRequest, Withdrawal,
};
