//! Callers that leave, or read slowly, or not at all.

use foreman_stub::{End, Hold};
use foreman_tests::{
    Exchange, Pair, chat, chat_stream, eventually, leave_at_once, stub, wait_in_line,
};

use crate::{A, content, foreman};

#[tokio::test]
async fn a_caller_that_leaves_while_queued_never_reaches_the_target() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let first = Exchange::post(foreman.url(), "/api/chat", &chat(A, "first")).await;
    gate.reached().await;
    let leaving = Exchange::post(foreman.url(), "/api/chat", &chat(A, "leaving")).await;
    let last = Exchange::post(foreman.url(), "/api/chat", &chat(A, "last")).await;
    eventually("a queue of two", || async {
        foreman.health().await["queue"]["queued"] == 2
    })
    .await;

    drop(leaving);
    foreman
        .log()
        .until("the job to be cancelled", |lines| {
            lines.iter().any(|line| line["to"] == "cancelled")
        })
        .await;
    gate.release();
    assert_eq!(first.reply().await.status(), 200);
    assert_eq!(last.reply().await.status(), 200);

    let record = stub.record();
    assert!(
        record
            .on("/api/chat")
            .all(|it| !it.body_text().contains("leaving"))
    );
}

#[tokio::test]
async fn a_caller_that_leaves_in_mid_stream_frees_the_target() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::after_chunks(2));
    let body = chat_stream(A, "stub:tokens=100 leaving");
    let mut leaving = Exchange::post(foreman.url(), "/api/chat", &body).await;
    leaving.chunk().await.unwrap();
    gate.reached().await;

    drop(leaving);
    stub.wait_for("the target to see it", |record| {
        record
            .on("/api/chat")
            .any(|it| it.end == Some(End::ClientGone))
    })
    .await
    .unwrap();
    gate.release();

    let next = foreman.post("/api/chat", &chat(A, "next")).await;
    assert_eq!(content(&next.json()), "echo: next");
}

#[tokio::test]
async fn a_caller_whose_job_is_to_be_kept_may_leave() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let headers = [("X-Foreman-Keep", "true")];
    let body = chat(A, "kept");
    let leaving = Exchange::post_with(foreman.url(), "/api/chat", &headers, &body).await;
    gate.reached().await;

    drop(leaving);
    gate.release();

    foreman
        .log()
        .until("the job to be done", |lines| {
            lines.iter().any(|line| line["to"] == "done")
        })
        .await;
    assert!(
        stub.record()
            .on("/api/chat")
            .all(|it| it.end == Some(End::Complete))
    );
}

#[tokio::test]
async fn a_reader_that_stops_reading_does_not_delay_the_next_job() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    // More than the sockets between the two can hold.
    let words = format!("{} ", "x".repeat(20_000)).repeat(999);
    let body = chat_stream(A, &words);
    let mut unread = Exchange::post(foreman.url(), "/api/chat", &body).await;
    unread.chunk().await.unwrap();

    let next = foreman.post("/api/chat", &chat(A, "next")).await;
    assert_eq!(content(&next.json()), "echo: next");

    let mut lines = 1;
    while unread.chunk().await.is_some() {
        lines += 1;
    }
    assert!(unread.is_clean());
    assert_eq!(lines, 1_001);
}

#[tokio::test]
async fn twenty_callers_at_once_get_their_own_answers() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let mut waiting = Vec::new();
    for n in 0..20 {
        let body = chat_stream(A, &format!("caller {n}."));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }

    for (n, exchange) in waiting.into_iter().enumerate() {
        let text: String = exchange
            .reply()
            .await
            .lines()
            .iter()
            .map(|line| content(line).to_owned())
            .collect();
        assert_eq!(text, format!("echo: caller {n}."));
    }
}

#[tokio::test]
async fn five_hundred_callers_wait_in_one_line_and_are_answered_in_its_order() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;

    let waited = wait_in_line(&stub, &foreman, 500).await;

    assert_eq!((waited.answered, waited.in_order), (500, true));
}

#[tokio::test]
async fn five_hundred_callers_that_leave_at_once_leave_nothing_behind() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;

    let left = leave_at_once(&stub, &foreman, 500).await;

    assert_eq!((left.cancelled, left.reached), (500, 0));
}
