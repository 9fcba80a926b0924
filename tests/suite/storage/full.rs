//! The disk is full.

use foreman_stub::Hold;
use foreman_tests::{Exchange, Pair, chat, eventually};
use serde_json::json;

use super::{code, ended, on_disk, submit};
use crate::{A, content};

#[tokio::test]
async fn a_full_disk_refuses_new_jobs_and_takes_them_again_by_itself() {
    let Some((disk, pair)) = on_disk().await else {
        return;
    };
    let Pair { stub, foreman } = pair;
    // More than the reserve holds: it cannot be accepted with the reserve given up either.
    let large = chat(A, &"large ".repeat(4_000_000));
    disk.set_full(true);

    let told = foreman.post("/api/chat", &large).await;

    assert_eq!((told.status(), code(&told)), (507, "storage_full"));
    assert!(told.head.header("retry-after").is_some());
    let health = foreman.health().await;
    assert_eq!(health["store"]["status"], "intake_closed", "{health}");
    let list = foreman.get(crate::JOBS).await.json();
    assert_eq!(list["jobs"], json!([]));

    disk.set_full(false);
    eventually("an open intake", || async {
        foreman.health().await["store"]["status"] == "ok"
    })
    .await;
    let after = foreman.post("/api/chat", &chat(A, "after")).await;
    assert_eq!(content(&after.json()), "echo: after");
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn a_running_job_ends_on_a_full_disk_and_its_caller_gets_the_whole_answer() {
    let Some((disk, pair)) = on_disk().await else {
        return;
    };
    let Pair { stub, foreman } = pair;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;
    let waiting = submit(&foreman, &chat(A, "waiting")).await;

    disk.set_full(true);
    gate.release();
    let reply = running.reply().await;

    assert_eq!(content(&reply.json()), "echo: running");
    assert!(reply.clean);
    // What had been accepted is done as well, in the room of the reserve.
    assert_eq!(ended(&foreman, &waiting).await["state"], "done");
    let id = reply.head.header("x-foreman-job-id").unwrap();
    let job = super::job(&foreman, id).await;
    assert_eq!(job["state"], "done", "{job}");
    let given_up = "disk is full, reserve file given up";
    assert_eq!(foreman.log().having("message", given_up).len(), 1);
}
