//! The server as its callers see it: raw HTTP against a stub target.

mod bounds;
mod caps;
mod endings;
mod front;
mod harness;
mod jobs;
mod kept;
mod lists;
mod panics;
mod passed;
mod queued;
mod resends;
mod shutdown;
mod strangers;
mod transcriptions;
mod wire;
