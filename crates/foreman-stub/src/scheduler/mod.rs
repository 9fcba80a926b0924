//! Which models are loaded, who may use them, and who must go: the rules of Ollama's scheduler.
//!
//! A request for a loaded and compatible runner gets a [`Lease`] at once. Everything else queues
//! for the one worker, which makes room and loads, strictly in order, one at a time. A lease
//! holder then waits for one of the runner's parallel slots.

mod handle;
mod lease;
mod options;
mod runner;
mod state;
mod worker;

#[cfg(test)]
mod tests;

pub(crate) use handle::{Ask, Limits, LoadFault, Refusal, Scheduler};
pub(crate) use lease::Lease;
pub(crate) use options::LoadOptions;
pub(crate) use runner::{Keep, Resident};
