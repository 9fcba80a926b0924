//! Foreman end to end: the real program in front of the stub, over real sockets and files.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed"
)]

mod async_jobs;
mod callers;
mod check;
mod cli;
mod job_steering;
mod job_streams;
mod metrics;
mod mission;
mod order;
mod outage;
mod parity;
mod passthrough;
mod races;
mod restart;
mod shutdown;
mod storage;
mod strangers;
mod surface;
mod target;
mod tidy;
mod traps;

use foreman_tests::Builder;
use serde_json::Value;

/// The models that the stub has when it is not told others.
const A: &str = "llama3.2:1b";
const B: &str = "gemma3:270m";
const C: &str = "qwen3:0.6b";
const EMBEDDER: &str = "all-minilm:latest";

/// Where asynchronous jobs are.
const JOBS: &str = "/foreman/v1/jobs";

/// A foreman of its own directory, with pauses short enough for a test.
fn foreman() -> Builder {
    Builder::new(env!("CARGO_BIN_EXE_foreman-under-test"))
        .set("RETRY_BASE", "20ms")
        .set("RETRY_MAX", "200ms")
}

/// Returns the text of a chat that was answered in one piece.
fn content(answer: &Value) -> &str {
    answer["message"]["content"].as_str().unwrap()
}
