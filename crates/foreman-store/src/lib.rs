//! Keeps foreman's jobs across restarts.
//!
//! [`QueueStore`] is the trait that the scheduler works against; it says for every method what is
//! durable when it returns and what a crash in its middle may leave behind. [`SqliteStore`] keeps
//! the queue in an SQLite database, [`MemoryStore`] is the model of it for tests. Both pass the
//! suite in `contract` (feature `contract`), and so must every other.
//!
//! The store decides nothing: which job is next is the policy's choice, which change of a job is
//! legal is [`foreman_job::lifecycle::step`]'s.
//!
//! ```
//! use std::sync::Arc;
//!
//! use foreman_job::{
//!     Choice, Clock, Endpoint, JobId, JobState, PickReason, Priority, QueueHeads, Random,
//!     RunnerKey, SystemClock,
//! };
//! use foreman_store::{
//!     ClaimRequest, NewJob, Outcome, QueueStore, Settlement, SqliteConfig, SqliteStore,
//!     StoredRequest,
//! };
//! # struct Fixed;
//! # impl Random for Fixed {
//! #     fn next_u64(&self) -> u64 {
//! #         7
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let random = Fixed;
//! let dir = tempfile::tempdir()?;
//! let store = SqliteStore::open(&SqliteConfig::new(dir.path().join("queue.db")))?;
//! let now = SystemClock.now();
//!
//! // Accepted: from now on nothing that can happen loses the job.
//! let id = JobId::generate(now, &random);
//! store
//!     .accept(NewJob {
//!         id,
//!         endpoint: Endpoint::Chat,
//!         model: "llama3".to_owned(),
//!         runner: RunnerKey::new("llama3", ""),
//!         priority: Priority::Normal,
//!         caller: None,
//!         created_at: now,
//!         not_before: None,
//!         expires_at: None,
//!         request: StoredRequest {
//!             headers: [].into(),
//!             body: r#"{"model":"llama3"}"#.into(),
//!         },
//!         idempotency: None,
//!         max_queue: None,
//!         retry_of: None,
//!         metadata: None,
//!     })
//!     .await?;
//!
//! // Claimed by the simplest of all policies, and given back.
//! let claimed = store
//!     .claim(ClaimRequest {
//!         slot: 0,
//!         resident: Vec::new(),
//!         paused: Vec::new(),
//!         aged_before: None,
//!         used: Arc::new(|_| 0.0),
//!         now,
//!         choose: Arc::new(|heads: &QueueHeads| {
//!             Some(Choice {
//!                 seq: heads.oldest.seq,
//!                 reason: PickReason::Oldest,
//!             })
//!         }),
//!         foreseen: None,
//!         is_begun: false,
//!     })
//!     .await?
//!     .ok_or("no job is ready")?;
//! let job = store
//!     .settle(Settlement {
//!         id,
//!         seq: Some(claimed.job.seq),
//!         epoch: claimed.job.progress.epoch,
//!         now,
//!         outcome: Outcome::Released,
//!         log: None,
//!     })
//!     .await?;
//!
//! assert_eq!((job.id, job.progress.state), (id, JobState::Queued));
//! store.close().await?;
//! # Ok(())
//! # }
//! ```

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(feature = "faulty")]
pub mod faulty;

mod depth;
mod error;
mod list;
mod log;
mod memory;
mod sqlite;
mod store;
mod transition;
mod types;

pub use depth::Depth;
pub use error::{LogGap, SlotTaken, StoreError, TakenId, UnknownCause};
pub use list::{Deletion, JobFilter, ModelFilter};
pub use log::{FIRST_EVENT, LogEntry, LogEvent, LogPage, RunLog};
pub use memory::MemoryStore;
#[cfg(feature = "fail-points")]
pub use sqlite::BeforeCommit;
pub use sqlite::{
    Backup, BackupError, Existing, FreeSpace, OpenError, SqliteConfig, SqliteStore, StoreStats,
    Synchronous, backup,
};
pub use store::QueueStore;
pub use types::{
    Accepted, AnswerHead, Answered, ByCaller, Choose, ClaimRequest, Claimed, Due, Foreseen,
    Headers, IdempotencyKey, JobList, NewJob, Outcome, Purge, Purged, QueueCounts, Recovery,
    Settlement, Standing, Standings, StoreHealth, StoredAnswer, StoredRequest, Used, Withdrawal,
};
