//! Decides what runs next, runs it, and settles it.
//!
//! [`Scheduler`] owns the one worker loop and what helps it; [`SchedulerHandle`] is the way in for
//! everybody else. A caller that submits a request holds a [`Ticket`] while its job waits, and an
//! [`Output`] while it runs. The crate works against two traits only,
//! [`QueueStore`](foreman_store::QueueStore) and [`OllamaClient`](foreman_ollama::OllamaClient), and
//! speaks no HTTP of its own.

mod attempt;
mod breaker;
mod classify;
mod config;
mod embedder;
mod grace;
mod handle;
mod headers;
mod inventory_keeper;
mod keep_alive;
mod leavers;
mod live;
mod metrics;
mod pinned;
mod policy;
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
mod ticket;
mod timekeeper;
mod transition;
mod worker;

pub use attempt::api_of;
pub use config::SchedulerConfig;
pub use handle::{NewRequest, SchedulerHandle, SubmitError, Submitted, Unload};
pub use headers::{from_stored, to_stored};
pub use inventory_keeper::last_inventory;
pub use live::WhenCallerLeaves;
pub use metrics::Metrics;
pub use random::SeededRandom;
pub use resend::Resendable;
pub use runner::runner_key;
pub use scheduler::{Parts, Scheduler, SchedulerError, Shutdown};
pub use spool::{Ending, Opening};
pub use status::{BreakerStatus, Running, Status};
pub use ticket::{First, Output, Ticket};
