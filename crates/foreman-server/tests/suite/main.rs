//! The server as its callers see it: raw HTTP against a stub target.

mod endings;
mod front;
mod harness;
mod kept;
mod lists;
mod passed;
mod queued;
mod shutdown;
mod wire;
