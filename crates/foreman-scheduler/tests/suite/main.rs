//! The scheduler over a store and a target in memory: every way in which an attempt can end.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed"
)]

mod ahead;
mod answers;
mod callers;
mod clocks;
mod disk;
mod early;
mod endings;
mod failures;
mod faults;
mod follow;
mod keep_alive;
mod order;
mod resends;
mod residency;
mod retention;
mod rig;
mod shutdown;
mod turns;
