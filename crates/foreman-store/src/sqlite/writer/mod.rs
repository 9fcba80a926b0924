//! The write lane: one connection writes, and commits in groups.
//!
//! Whoever wants something written sends a command and waits. A thread takes what is there, runs all
//! of it in one transaction, and commits once. It never waits for company, so a lone command is not
//! delayed. Where somebody's answer must survive a loss of power, it waits for the disk then, and a
//! second thread takes over the writing.

mod answer;
mod batch;
mod checkpoint;
mod command;
mod crew;
mod inbox;
mod intake;
mod lane;
mod owner;
mod sync;

pub(super) use batch::Tx;
pub(super) use checkpoint::Checkpointer;
pub(super) use command::{Commands, DURABLE, Durability, Load};
pub(super) use intake::Intake;
pub(super) use lane::WriteLane;
pub(super) use owner::{LOG_BOUND, Shared, Writer};
pub(super) use sync::Disk;
