//! The write lane: one thread owns the only connection that writes, and commits in groups.
//!
//! Whoever wants something written sends a command and waits. The thread takes what is there, runs
//! each command in its own savepoint of one transaction, and commits once. It never waits for
//! company, so a lone command is not delayed, nor for the disk: those whose answer must survive a
//! loss of power are answered by a second thread, which waits for it.

mod answer;
mod batch;
mod checkpoint;
mod command;
mod intake;
mod lane;
mod sync;
mod thread;

pub(super) use batch::Tx;
pub(super) use checkpoint::Checkpointer;
pub(super) use command::{DURABLE, Durability, Load};
pub(super) use intake::Intake;
pub(super) use lane::WriteLane;
pub(super) use sync::Syncer;
pub(super) use thread::{LOG_BOUND, Shared, Waiting, Writer};
