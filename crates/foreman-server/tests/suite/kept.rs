//! Jobs that outlive their callers.

use foreman_stub::Hold;

use crate::harness::{Front, chat, until};

#[tokio::test]
async fn a_kept_job_is_finished_without_its_caller() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut caller = front.caller().await;
    caller
        .send("POST /api/chat\nX-Foreman-Keep: true", &chat("hi"))
        .await;
    gate.reached().await;

    drop(caller);
    gate.release();

    until(|| front.scheduler.store().counts().done == 1).await;
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_answer_and_no_second_job() {
    let front = Front::start().await;
    let head = "POST /api/chat\nIdempotency-Key: k1";

    let first = front.ask(head, &chat("hi")).await;
    let again = front.ask(head, &chat("hi")).await;
    let other = front.ask(head, &chat("something else")).await;

    assert_eq!(again.chunks, first.chunks);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(
        again.header("x-foreman-job-id"),
        first.header("x-foreman-job-id")
    );
    assert_eq!(other.status, 422);
    assert_eq!(other.json()["code"], "idempotency_mismatch");
    assert_eq!(front.stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn a_repeated_request_joins_the_running_job() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let head = "POST /api/chat\nIdempotency-Key: k1";
    let mut first = front.caller().await;
    first.send(head, &chat("hi")).await;
    gate.reached().await;
    let mut second = front.caller().await;
    second.send(head, &chat("hi")).await;

    gate.release();

    let (first, second) = (first.reply().await, second.reply().await);
    assert_eq!(first.chunks, second.chunks);
    assert_eq!(front.stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn who_does_not_want_to_wait_learns_the_job() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());

    let reply = front
        .ask("POST /api/chat\nPrefer: respond-async", &chat("hi"))
        .await;
    gate.release();

    assert_eq!(reply.status, 202);
    let id = reply.header("x-foreman-job-id").unwrap();
    assert_eq!(reply.json()["id"], id);
    assert_eq!(reply.json()["state"], "queued");
    assert_eq!(
        reply.header("location").unwrap(),
        format!("/foreman/v1/jobs/{id}")
    );
    until(|| front.scheduler.store().counts().done == 1).await;
}
