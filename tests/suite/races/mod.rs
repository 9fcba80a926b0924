//! Callers that leave, cancel and ask again at the worst moment: one thing happens, and all hear of it.

mod cancels;
mod keys;
mod leaving;

use foreman_tests::{Exchange, Foreman, Reply, request};
use serde_json::Value;

const JOBS: &str = "/foreman/v1/jobs";

/// Lets others go first so often: where a race is decided is different from try to try.
async fn wait_a_little(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

async fn ended(foreman: &Foreman, id: &str) -> Value {
    let job = foreman.get(&format!("{JOBS}/{id}?wait=1m")).await.json();
    assert!(!job["finished_at"].is_null(), "{job}");
    job
}

async fn cancel(foreman: &Foreman, id: &str) -> Reply {
    let bytes = request("POST", &format!("{JOBS}/{id}/cancel"), &[], b"");
    let exchange = Exchange::send_raw(foreman.url(), &bytes).await;
    exchange.reply().await
}

/// Returns the state in which a job ended, which it did once.
fn end(lines: &[Value], id: &str) -> String {
    let states = ["done", "failed", "cancelled"];
    let of_job = lines.iter().filter(|line| line["job"] == id);
    let ends: Vec<&str> = of_job
        .filter_map(|line| line["to"].as_str())
        .filter(|to| states.contains(to))
        .collect();
    assert_eq!(ends.len(), 1, "{id} ended as {ends:?}");
    ends[0].to_owned()
}
