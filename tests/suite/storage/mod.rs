//! What the disk may do to foreman, and what callers see of it.
#![expect(clippy::print_stdout, reason = "a test that does nothing says so")]

mod calls;
mod checkpoint;
mod clock;
mod damage;
mod full;
mod io;
mod place;
mod power;

use foreman_tests::{Disk, Foreman, Pair, Reply, eventually, stub};
use serde_json::{Value, json};

use crate::{JOBS, foreman};

/// A foreman on a disk that does what the test says, and its target; none where there is no such
/// disk.
async fn on_disk() -> Option<(Disk, Pair)> {
    let Some(disk) = Disk::new() else {
        println!("skipped: only Linux lets a library stand before the disk");
        return None;
    };
    let pair = Pair::start(stub(), foreman().on(&disk)).await;
    // The last thing that it writes by itself; from now on it writes what it is asked to.
    eventually("a saved inventory", || async {
        let rows = rusqlite::Connection::open(pair.foreman.database()).unwrap();
        let count = "SELECT count(*) FROM notes WHERE name = 'inventory'";
        let count = rows.query_row(count, [], |row| row.get::<_, i64>(0));
        count.unwrap() == 1
    })
    .await;
    Some((disk, pair))
}

/// Returns the code of an answer that is an error of foreman.
fn code(reply: &Reply) -> &str {
    reply
        .head
        .header("x-foreman-error-code")
        .unwrap_or_default()
}

/// Submits a chat that nobody waits at; returns the name of its job.
async fn submit(foreman: &Foreman, request: &Value) -> String {
    let submission = json!({"endpoint": "/api/chat", "request": request});
    let reply = foreman.post(JOBS, &submission).await;
    assert_eq!(reply.status(), 202, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

async fn job(foreman: &Foreman, id: &str) -> Value {
    foreman.get(&format!("{JOBS}/{id}")).await.json()
}

/// Waits until a job has ended.
async fn ended(foreman: &Foreman, id: &str) -> Value {
    let job = foreman.get(&format!("{JOBS}/{id}?wait=1m")).await.json();
    assert!(!job["finished_at"].is_null(), "{job}");
    job
}
