//! The two stages of a shutdown.

use foreman_stub::Hold;

use crate::harness::{Front, chat};

#[tokio::test]
async fn idle_connections_close_at_once() {
    let front = Front::start().await;
    let mut caller = front.caller().await;
    caller.send("GET /", "").await;
    caller.reply().await;

    front.drain.cancel();

    assert_eq!(caller.remainder().await, "");
    front.force.cancel();
    front.ended().await;
}

#[tokio::test]
async fn the_running_job_is_brought_to_its_end_and_waiting_callers_are_told() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;
    let mut waiting = front.caller().await;
    waiting.send("POST /api/chat", &chat("waiting")).await;
    front.until_queued(1).await;

    front.drain.cancel();
    let told = waiting.reply().await;
    gate.release();
    let answer = running.reply().await;

    assert_eq!(told.status, 503);
    assert_eq!(told.json()["code"], "shutting_down");
    assert!(told.header("retry-after").is_some());
    assert!(told.header("x-foreman-job-id").is_some());
    assert_eq!(answer.status, 200);
    assert!(answer.chunks.last().unwrap().contains(r#""done":true"#));
    front.force.cancel();
    front.ended().await;
}

#[tokio::test]
async fn what_does_not_end_is_dropped_at_the_second_stage() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::after_chunks(1));
    let mut caller = front.caller().await;
    caller.send("POST /api/chat", &chat("one two three")).await;
    caller.head().await;

    front.drain.cancel();
    front.force.cancel();

    front.ended().await;
    drop(gate);
}

#[tokio::test]
async fn a_request_that_comes_after_the_first_signal_is_refused_at_once() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;
    // One that has begun to ask, and will have asked too late.
    let body = chat("late");
    let mut late = front.caller().await;
    let head = format!(
        "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    late.send_raw(head.as_bytes()).await;
    assert_eq!(late.head().await.0, 100);

    front.drain.cancel();
    late.send_raw(body.as_bytes()).await;
    let told = late.reply().await;
    // Whoever connects finds nobody, and knows at once.
    front.until_refusing().await;
    gate.release();
    let answer = running.reply().await;

    assert_eq!(told.status, 503);
    assert_eq!(told.json()["code"], "shutting_down");
    assert!(told.header("retry-after").is_some());
    assert_eq!(told.header("x-foreman-job-id"), None);
    assert_eq!(late.remainder().await, "");
    assert_eq!(answer.status, 200);
    assert_eq!(front.scheduler.store().counts().queued, 0);
    assert_eq!(front.stub.record().on("/api/chat").count(), 1);
    front.force.cancel();
    front.ended().await;
}
