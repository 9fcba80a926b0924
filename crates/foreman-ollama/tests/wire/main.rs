//! The client over real sockets, against servers that do exactly one thing.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod answers;
mod faults;
mod names;
mod requests;
mod reuse;
mod server;
