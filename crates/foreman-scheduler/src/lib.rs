//! Decides what runs next, runs it, and settles it.
//!
//! [`Scheduler`] owns the one worker loop and what helps it; [`SchedulerHandle`] is the way in for
//! everybody else. A caller that submits a request holds a [`Ticket`] while its job waits, and an
//! [`Output`] while it runs. The crate works against two traits only,
//! [`QueueStore`](foreman_store::QueueStore) and [`OllamaClient`](foreman_ollama::OllamaClient), and
//! speaks no HTTP of its own.
//!
//! ```
//! use std::sync::Arc;
//!
//! use foreman_job::SteadyClock;
//! use foreman_ollama::{HyperClient, OllamaClient, Poller, PollerConfig, TargetConfig};
//! use foreman_scheduler::{
//!     Metrics, Parts, Scheduler, SchedulerConfig, SeededRandom, Shutdown,
//! };
//! use foreman_store::MemoryStore;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!
//! let client: Arc<dyn OllamaClient> = Arc::new(HyperClient::new(TargetConfig::default())?);
//! let now = Arc::new(jiff::Timestamp::now);
//! let poller = Poller::new(Arc::clone(&client), PollerConfig::default(), now, None);
//! let parts = Parts {
//!     store: Arc::new(MemoryStore::new()),
//!     client,
//!     inventory: poller.inventory(),
//!     clock: Arc::new(SteadyClock::default()),
//!     random: Arc::new(SeededRandom::from_entropy()),
//!     metrics: Metrics::default(),
//! };
//! let shutdown = Shutdown::default();
//! let scheduler = Scheduler::new(parts, SchedulerConfig::default(), shutdown.clone());
//! let handle = scheduler.handle();
//! scheduler.recover().await?;
//! assert!(handle.status().running.is_none());
//!
//! // Runs jobs until it is told to stop; `handle` submits them.
//! shutdown.drain.cancel();
//! scheduler.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The example `embed` submits requests and reads their answers.

mod ahead;
mod attempt;
mod breaker;
mod claim;
mod claiming;
mod classify;
mod config;
mod early;
mod embedder;
mod estimate;
mod follow;
mod grace;
mod handle;
mod headers;
mod heads;
mod inventory_keeper;
mod journal;
mod keep_alive;
mod learned;
mod leavers;
mod live;
mod metrics;
mod order;
mod pauses;
mod pinned;
pub mod policy;
mod random;
mod resend;
mod residency;
mod retention;
mod run;
mod runner;
mod scheduler;
mod settle;
mod spool;
mod status;
mod submit;
mod ticket;
mod timekeeper;
mod transition;
mod watchers;
mod worker;

pub use attempt::api_of;
pub use config::SchedulerConfig;
pub use estimate::Estimate;
pub use follow::Follower;
pub use handle::{NewRequest, SchedulerHandle, SubmitError, Submitted, Unload};
pub use headers::{from_stored, to_stored};
pub use inventory_keeper::last_inventory;
pub use live::WhenCallerLeaves;
pub use metrics::Metrics;
pub use pauses::{Paused, Scope};
pub use random::SeededRandom;
pub use resend::Resendable;
pub use runner::runner_key;
pub use scheduler::{Parts, Scheduler, SchedulerError, Shutdown};
pub use spool::{Ending, Opening};
pub use status::{BreakerStatus, Running, Status};
pub use submit::Detached;
pub use ticket::{First, Output, OutputSize, Ticket};
pub use transition::{CLAIM_LINES, Transition};

/// Readers of foreign text, for the fuzzing targets.
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz {
    use std::time::Duration;

    use http::HeaderMap;

    /// Reads when the target wants to be asked again.
    pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
        crate::classify::retry_after(headers)
    }
}
