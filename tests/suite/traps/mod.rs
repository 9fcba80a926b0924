//! What a server that stands in for Ollama gets wrong at first, one test for each trap.
//!
//! The numbers are those of the decision record on traps, which also names the tests of the traps
//! that are not here.

mod answers;
mod bodies;
mod callers;
mod ends;
mod models;
mod outages;
mod runners;

use foreman_stub::Stub;
use foreman_tests::{Exchange, Foreman, Reply, request};
use serde_json::Value;

/// Sends bytes as a body and reads the answer.
async fn post(url: &str, path: &str, body: &[u8]) -> Reply {
    let bytes = request("POST", path, &[], body);
    Exchange::send_raw(url, &bytes).await.reply().await
}

/// Returns one figure of foreman's metrics.
async fn figure(foreman: &Foreman, name: &str) -> Option<f64> {
    let metrics = foreman.get("/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// Waits until so many jobs wait.
async fn queued(foreman: &Foreman, jobs: usize) {
    foreman_tests::eventually("jobs in the queue", || async {
        foreman.health().await["queue"]["queued"] == jobs
    })
    .await;
}

/// Returns the bodies that the target got on a path, as JSON.
fn bodies(stub: &Stub, path: &str) -> Vec<Value> {
    let record = stub.record();
    let requests = record.on(path);
    requests
        .map(|request| serde_json::from_str(&request.body_text()).unwrap())
        .collect()
}
