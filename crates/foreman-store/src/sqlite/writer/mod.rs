//! The write lane: one thread owns the only connection that writes, and commits in groups.
//!
//! Whoever wants something written sends a command and waits. The thread takes what is there, runs
//! each command in its own savepoint of one transaction, commits once, and then answers them all.
//! It never waits for company, so a lone command is not delayed.

mod batch;
mod command;
mod intake;
mod lane;
mod thread;

pub(super) use batch::Tx;
pub(super) use command::{Durability, Load};
pub(super) use intake::Intake;
pub(super) use lane::WriteLane;
pub(super) use thread::{Shared, Writer};
