//! Targets that take their time.

use std::time::Duration;

use foreman_stub::{Fault, FaultRule};
use foreman_tests::{Exchange, Pair, chat, chat_stream, eventually, stub};

use super::{ends_with_an_error, goes_on};
use crate::{A, B, content, foreman};

fn trickle() -> Fault {
    Fault::Trickle {
        bytes: 1,
        pause: Duration::from_millis(20),
    }
}

#[tokio::test]
async fn a_stall_after_the_head_and_after_some_lines_is_noticed() {
    let settings = foreman().set("IDLE_TIMEOUT", "300ms");
    let settings = settings.set("FIRST_BYTE_TIMEOUT", "300ms");
    let Pair { stub, foreman } = Pair::start(stub(), settings.set("MAX_ATTEMPTS", "1")).await;
    let rule = |fault| FaultRule::once(fault).on_path("/api/chat");
    stub.inject(rule(Fault::StallAfter(0)));
    let at_the_head = foreman.post("/api/chat", &chat(A, "hi")).await;
    stub.inject(rule(Fault::StallAfter(2)));
    let later = foreman.post("/api/chat", &chat_stream(A, "a b c")).await;

    assert_eq!(at_the_head.status(), 504);
    assert!(later.clean);
    assert!(ends_with_an_error(&later) || later.status() == 504);
    goes_on(&foreman).await;
}

#[tokio::test]
async fn a_trickle_is_no_stall_but_has_an_end_by_the_limit_of_a_run() {
    let settings = foreman().set("IDLE_TIMEOUT", "2s").set("MAX_RUN", "1s");
    let Pair { stub, foreman } = Pair::start(stub(), settings.set("MAX_ATTEMPTS", "1")).await;
    stub.inject(FaultRule::once(trickle()).on_path("/api/chat"));

    let reply = foreman.post("/api/chat", &chat(A, "a b c d e f g")).await;

    assert_eq!(reply.status(), 504);
    let code = reply.head.header("x-foreman-error-code");
    assert_eq!(code, Some("run_timeout"));
    goes_on(&foreman).await;
}

#[tokio::test]
async fn a_model_that_leaves_by_itself_costs_a_load_and_no_more() {
    let Pair { stub, foreman } = Pair::start(stub().max_loaded(1), foreman()).await;
    foreman.post("/api/chat", &chat(A, "one")).await;
    stub.unload_all();

    let again = foreman.post("/api/chat", &chat(A, "two")).await;
    let other = foreman.post("/api/chat", &chat(B, "three")).await;

    assert_eq!(content(&again.json()), "echo: two");
    assert_eq!(content(&other.json()), "echo: three");
    assert_eq!(stub.counts().loads, 3);
}

#[tokio::test]
async fn a_wrong_model_name_in_an_answer_is_passed_on_and_costs_no_load() {
    let Pair { stub, foreman } = Pair::start(stub().max_loaded(1), foreman()).await;
    foreman.post("/api/chat", &chat(A, "one")).await;
    let wrong = format!(
        "{{\"model\":\"{B}\",\"message\":{{\"role\":\"assistant\",\"content\":\"x\"}},\"done\":true}}"
    );
    let raw = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{wrong}",
        wrong.len()
    );
    let rule = FaultRule::once(Fault::Raw(vec![raw.into()]));
    stub.inject(rule.on_path("/api/chat"));

    let odd = foreman.post("/api/chat", &chat(A, "two")).await;
    let again = foreman.post("/api/chat", &chat(A, "three")).await;

    assert_eq!((odd.status(), odd.text()), (200, wrong));
    assert_eq!(content(&again.json()), "echo: three");
    let swapped = |line: &serde_json::Value| {
        let text = line["message"].as_str().unwrap_or_default();
        text.starts_with("swapped after")
    };
    let swaps = foreman.log().lines().into_iter().filter(swapped).count();
    assert_eq!((stub.counts().loads, swaps), (1, 1));
}

#[tokio::test]
async fn a_target_that_goes_away_in_mid_queue_costs_nobody_behind_the_running_job() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    stub.inject(FaultRule::once(Fault::DownBeforeHead).on_path("/api/chat"));
    let mut waiting = Vec::new();
    for n in 0..10 {
        let body = chat(A, &format!("number {n}."));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }
    eventually("all to wait", || async {
        let health = foreman.health().await;
        // Away already: not in the moment before the first one is claimed.
        health["queue"]["queued"] == 10 && health["target"]["reachable"] == false
    })
    .await;
    stub.resume_listening().await.unwrap();

    for (n, exchange) in waiting.into_iter().enumerate() {
        let reply = exchange.reply().await.json();
        assert!(content(&reply).contains(&format!("number {n}.")));
    }
    let rows = rusqlite::Connection::open(foreman.database()).unwrap();
    let spent: i64 = rows
        .query_row("SELECT sum(attempt) FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert!(spent <= 1, "{spent} attempts were spent");
}
