//! The target is away.

use foreman_stub::{Fault, FaultRule, Hold};
use foreman_tests::{Exchange, Pair, chat, chat_stream, eventually, stub};
use serde_json::Value;

use crate::{A, content, foreman};

#[tokio::test]
async fn fifty_chats_wait_for_a_target_that_is_away_and_one_attempt_is_spent() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    stub.stop_listening().await;
    let mut waiting = Vec::new();
    for n in 0..50 {
        let body = chat(A, &format!("number {n}."));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }
    eventually("a queue of 50", || async {
        foreman.health().await["queue"]["queued"] == 50
    })
    .await;
    foreman
        .log()
        .until("the outage to be met", |lines| {
            lines
                .iter()
                .any(|line| line["message"] == "target does not take jobs: they wait")
        })
        .await;

    stub.resume_listening().await.unwrap();
    for (n, exchange) in waiting.into_iter().enumerate() {
        let answer = exchange.reply().await.json();
        assert!(
            content(&answer).contains(&format!("number {n}.")),
            "{answer}"
        );
    }

    let rows = rusqlite::Connection::open(foreman.database()).unwrap();
    let spent: i64 = rows
        .query_row("SELECT sum(attempt) FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert!(spent <= 1, "{spent} attempts were spent");
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_one_error_line() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    for fault in [
        Fault::ResetAfter(2),
        Fault::CloseAfter(2),
        Fault::EndAfter(2),
    ] {
        let before = stub.record().on("/api/chat").count();
        let gate = stub.hold(Hold::after_chunks(2));
        stub.inject(FaultRule::once(fault.clone()).on_path("/api/chat"));
        let body = chat_stream(A, "one two three four");
        let mut exchange = Exchange::post(foreman.url(), "/api/chat", &body).await;
        exchange.chunk().await.unwrap();
        gate.release();

        let mut rest = Vec::new();
        while let Some(chunk) = exchange.chunk().await {
            rest.push(chunk);
        }

        assert!(exchange.is_clean(), "{fault:?}");
        let last: Value = serde_json::from_slice(rest.last().unwrap()).unwrap();
        assert!(last["error"].is_string(), "{fault:?}: {last}");
        assert_eq!(
            stub.record().on("/api/chat").count(),
            before + 1,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_that_breaks_off_is_begun_again_unseen() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    for fault in [
        Fault::ResetBeforeHead,
        Fault::CloseBeforeHead,
        Fault::ShortBody,
    ] {
        stub.inject(FaultRule::once(fault.clone()).on_path("/api/chat"));

        let reply = foreman.post("/api/chat", &chat(A, "one two three")).await;

        assert_eq!(reply.status(), 200, "{fault:?}");
        assert_eq!(content(&reply.json()), "echo: one two three");
    }
}

#[tokio::test]
async fn a_target_that_stays_away_fails_a_job_when_its_time_is_over() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    stub.stop_listening().await;

    let headers = [("X-Foreman-Expires-In", "300ms")];
    let body = chat(A, "hurry");
    let exchange = Exchange::post_with(foreman.url(), "/api/chat", &headers, &body).await;
    let reply = exchange.reply().await;

    assert_eq!(reply.status(), 504);
    assert_eq!(reply.head.header("x-foreman-error-code"), Some("expired"));
    assert!(reply.json()["error"].is_string());
}

#[tokio::test]
async fn a_target_that_closes_idle_connections_is_not_noticed() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    foreman.post("/api/chat", &chat(A, "first")).await;
    stub.stop_listening().await;
    stub.resume_listening().await.unwrap();

    let reply = foreman.post("/api/chat", &chat(A, "second")).await;

    assert_eq!(reply.status(), 200);
    let rows = rusqlite::Connection::open(foreman.database()).unwrap();
    let spent: i64 = rows
        .query_row("SELECT sum(attempt) FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(spent, 0);
}
