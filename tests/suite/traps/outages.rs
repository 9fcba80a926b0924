//! Traps in telling whether the target works.

use foreman_stub::{Fault, FaultRule, Hold};
use foreman_tests::{Exchange, Pair, chat, chat_stream, eventually, stub};
use serde_json::json;

use crate::{A, B, content, foreman};

#[tokio::test]
async fn trap_49_a_target_that_accepts_and_says_nothing_is_given_up() {
    let settings = foreman()
        .set("FIRST_BYTE_TIMEOUT", "1s")
        .set("MAX_ATTEMPTS", "1");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    stub.inject(FaultRule::once(Fault::StallBeforeHead).on_path("/api/chat"));

    let stalled = foreman.post("/api/chat", &chat(A, "hi")).await;

    assert!((500..600).contains(&stalled.status()), "{}", stalled.text());
    assert_eq!(
        stalled.head.header("x-foreman-error-source"),
        Some("target")
    );
    assert_eq!(
        content(&foreman.post("/api/chat", &chat(A, "next")).await.json()),
        "echo: next"
    );
}

#[tokio::test]
async fn trap_50_lists_that_answer_do_not_hide_a_generation_that_hangs() {
    let settings = foreman().set("IDLE_TIMEOUT", "1s");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    stub.inject(FaultRule::once(Fault::StallAfter(1)).on_path("/api/chat"));

    let reply = foreman
        .post("/api/chat", &chat_stream(A, "one two three"))
        .await;

    assert_eq!(foreman.get("/api/tags").await.status(), 200);
    assert!(reply.clean);
    assert!(reply.lines().last().unwrap()["error"].is_string());
    assert_eq!(
        content(&foreman.post("/api/chat", &chat(A, "next")).await.json()),
        "echo: next"
    );
}

#[tokio::test]
async fn trap_55_probes_and_lists_are_answered_while_the_target_is_away() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman().set("POLL_INTERVAL", "100ms")).await;
    foreman.post("/api/chat", &chat(A, "resident")).await;
    let paths = ["/", "/api/version", "/api/tags", "/v1/models"];
    let mut known = Vec::new();
    for path in paths {
        known.push(foreman.get(path).await.text());
    }
    stub.stop_listening().await;
    eventually("the outage to be noticed", || async {
        foreman.health().await["target"]["reachable"] == false
    })
    .await;

    for (path, known) in paths.into_iter().zip(known) {
        let reply = foreman.get(path).await;
        assert_eq!((reply.status(), reply.text()), (200, known), "{path}");
    }
    let ps = foreman.get("/api/ps").await;
    assert_eq!(ps.json(), json!({"models": []}));
    assert_eq!(ps.head.header("x-foreman-target"), Some("unreachable"));
}

#[tokio::test]
async fn trap_56_a_model_that_cannot_be_loaded_is_not_tried_without_end() {
    let settings = foreman().set("MAX_ATTEMPTS", "3");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    let words = "llama-server process has terminated: exit status 1";
    stub.inject(FaultRule::always(Fault::LoadFails(words.to_owned())).for_model(B));

    let failed = foreman.post("/api/chat", &chat(B, "never")).await;

    assert_eq!(failed.status(), 500);
    assert!(failed.text().contains(words), "{}", failed.text());
    let tried = stub.record().on("/api/chat").count();
    assert!((1..=3).contains(&tried), "{tried} times");
    assert_eq!(
        content(&foreman.post("/api/chat", &chat(A, "well")).await.json()),
        "echo: well"
    );
}

#[tokio::test]
async fn trap_31_waiting_behind_a_strangers_traffic_can_be_seen() {
    let Pair { stub, foreman } = Pair::start(stub().max_loaded(1), foreman()).await;
    let gate = stub.hold(Hold::before_first_token().for_model(B));
    // Not through foreman: it keeps the only place busy.
    let stranger = Exchange::post(&stub.url(), "/api/chat", &chat(B, "mine")).await;
    gate.reached().await;

    let mine = Exchange::post(foreman.url(), "/api/chat", &chat(A, "after it")).await;
    eventually("the job to be shown as loading", || async {
        let health = foreman.health().await;
        let running = &health["queue"]["running"];
        running["model"] == A && running["state"] == "loading" && running["since"].is_string()
    })
    .await;

    gate.release();
    assert_eq!(stranger.reply().await.status(), 200);
    assert_eq!(content(&mine.reply().await.json()), "echo: after it");
}
