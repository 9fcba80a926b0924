//! The words of foreman's queue, and the rules that need no I/O.
//!
//! A [`Job`] is one request to be done: durable, with one result. This crate says which
//! [`JobState`]s it has and, in [`lifecycle::step`], every way from one to another; how a
//! failed attempt is judged ([`FailureKind`], [`RetryPolicy`]); and what the scheduling policy
//! sees of the queue ([`QueueHeads`]). It does no I/O, knows no async runtime, no database and no
//! HTTP, and reads neither the clock nor a random source except through its parameters.
//!
//! ```
//! use foreman_job::lifecycle::{Event, Progress, step};
//! use foreman_job::JobState;
//!
//! let queued = Progress::accepted();
//! let loading = step(&queued, &Event::Claim)?;
//! assert_eq!(loading.progress.state, JobState::Loading);
//! assert_eq!(loading.progress.epoch.get(), 1);
//!
//! // A writer of an older epoch is refused.
//! assert!(step(&loading.progress, &Event::Start { epoch: queued.epoch }).is_err());
//! # Ok::<(), foreman_job::lifecycle::IllegalTransition>(())
//! ```

pub mod lifecycle;

mod endpoint;
mod failure;
mod heads;
mod id;
mod job;
mod priority;
mod random;
mod retry;
mod runner;
mod state;
mod time;

pub use endpoint::{Endpoint, UnknownEndpoint};
pub use failure::{FailureKind, FailureSource, JobFailure};
pub use heads::{Choice, HeadJob, PickReason, QueueHeads};
pub use id::{JobId, MalformedId};
pub use job::{Job, Usage};
pub use priority::{Priority, UnknownPriority};
pub use random::Random;
pub use retry::{RetryDecision, RetryPolicy, backoff};
pub use runner::RunnerKey;
pub use state::{JobState, UnknownState};
pub use time::{Clock, SteadyClock, SystemClock, Timestamp};
