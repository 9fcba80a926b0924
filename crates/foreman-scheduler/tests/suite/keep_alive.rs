//! How long the target keeps models: the worker's, the embedder's, and what callers wish.

use std::sync::Arc;

use foreman_job::Endpoint;
use foreman_ollama::{Api, ErrorKind, FakeOllama, FakeReply, RecordedRequest, TargetError, scan};
use foreman_scheduler::{NewRequest, SchedulerConfig, Unload};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::rig::*;

fn body(request: &RecordedRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_job_of_a_drain_carries_the_workers_keep_alive() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);

    text(rig.submit(chat("a", "hi")).await).await;

    assert_eq!(
        body(&rig.fake.requests_to("/api/chat")[0])["keep_alive"],
        1800
    );
}

/// What was read of a request is kept for its first run only.
#[tokio::test(start_paused = true)]
async fn what_the_submitter_read_of_a_request_and_what_is_read_of_it_again_come_to_the_same() {
    let rig = Rig::start().await;
    let kind = ErrorKind::ClosedBeforeHead;
    rig.fake.queue("/api/chat", FakeReply::error(kind));
    rig.fake.on("/api/chat", echo);
    let request = chat("a", "hi");
    let head = scan(Api::Chat, &request.body).unwrap();

    let request = NewRequest {
        head: Some(head),
        ..request
    };
    text(rig.submit(request).await).await;

    let sent = rig.fake.requests_to("/api/chat");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].body, sent[1].body);
    assert_eq!(body(&sent[0])["keep_alive"], 1800);
}

#[tokio::test(start_paused = true)]
async fn a_callers_wish_is_passed_on_when_the_drain_ends_and_not_before() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[DONE]).when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/chat", echo);
    rig.fake.on("/api/generate", |_| {
        FakeReply::json(StatusCode::OK, r#"{"done":true}"#)
    });
    let first = rig.submit(chat("a", "first")).await;
    let wish =
        json!({"model": "a", "keep_alive": 0, "messages": [{"role": "user", "content": "second"}]});
    let second = rig.submit(chat_with("a", &wish)).await;

    gate.notify_one();
    text(first).await;
    text(second).await;
    settle_down().await;

    for request in rig.fake.requests_to("/api/chat") {
        assert_eq!(body(&request)["keep_alive"], 1800);
    }
    let passed_on = rig.fake.requests_to("/api/generate");
    assert_eq!(passed_on.len(), 1);
    assert_eq!(body(&passed_on[0])["model"], "a");
    assert_eq!(body(&passed_on[0])["keep_alive"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_model_of_another_api_is_pinned_when_its_drain_ends() {
    let rig = Rig::start().await;
    let answer = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}"#;
    rig.fake.on("/v1/chat/completions", move |_| {
        FakeReply::json(StatusCode::OK, answer)
    });
    rig.fake.on("/api/generate", |_| {
        FakeReply::json(StatusCode::OK, r#"{"done":true}"#)
    });
    let mut request = chat("a", "hi");
    request.endpoint = Endpoint::V1ChatCompletions;

    text(rig.submit(request).await).await;
    settle_down().await;

    let sent = &rig.fake.requests_to("/v1/chat/completions")[0];
    assert_eq!(body(sent).get("keep_alive"), None);
    assert_eq!(
        body(&rig.fake.requests_to("/api/generate")[0])["keep_alive"],
        1800
    );
}

#[tokio::test(start_paused = true)]
async fn an_unload_waits_for_the_drain_and_is_done_then() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[DONE]).when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/generate", |_| {
        FakeReply::json(StatusCode::OK, r#"{"done":true}"#)
    });
    let request = chat("a", "hi");
    let runner = request.runner.clone();
    assert_eq!(rig.handle.unload("a", &runner).await.unwrap(), Unload::Now);
    let ticket = rig.submit(request).await;
    settle_down().await;

    assert_eq!(
        rig.handle.unload("a", &runner).await.unwrap(),
        Unload::Deferred
    );
    assert!(rig.fake.requests_to("/api/generate").is_empty());
    gate.notify_one();
    text(ticket).await;
    settle_down().await;

    assert_eq!(
        body(&rig.fake.requests_to("/api/generate")[0])["keep_alive"],
        0
    );
}

#[tokio::test(start_paused = true)]
async fn the_embedder_is_warmed_at_start_and_after_every_recovery() {
    let fake = FakeOllama::new();
    fake.on("/api/embed", |_| {
        FakeReply::json(StatusCode::OK, r#"{"embeddings":[[0.1]]}"#)
    });
    let config = SchedulerConfig {
        embed_model: Some("all-minilm".to_owned()),
        ..config()
    };
    let rig = Rig::with(fake, config).await;
    settle_down().await;
    let warmings = rig.fake.requests_to("/api/embed");
    assert_eq!(warmings.len(), 1);
    assert_eq!(body(&warmings[0])["keep_alive"], -1);

    let away = TargetError::new(ErrorKind::Refused, "testing");
    rig.inventory.note_unreachable(&away);
    settle_down().await;
    rig.inventory.refresh().await.unwrap();
    settle_down().await;

    assert_eq!(rig.fake.requests_to("/api/embed").len(), 2);
}

/// Answers to `/api/ps`: nothing but the embedding model, until then.
fn resident(expires_at: &str) -> FakeReply {
    let body = json!({"models": [{"name": "all-minilm:latest", "model": "all-minilm:latest",
        "digest": "", "size": 1, "expires_at": expires_at}]});
    FakeReply::json(StatusCode::OK, body.to_string())
}

async fn with_embedder() -> Rig {
    let fake = FakeOllama::new();
    fake.on("/api/ps", |_| resident("2319-03-03T01:40:23Z"));
    fake.on("/api/embed", |_| {
        FakeReply::json(StatusCode::OK, r#"{"embeddings":[[0.1]]}"#)
    });
    fake.on("/api/chat", echo);
    fake.on("/api/generate", |_| {
        FakeReply::json(StatusCode::OK, r#"{"done":true}"#)
    });
    let config = SchedulerConfig {
        embed_model: Some("all-minilm".to_owned()),
        ..config()
    };
    let rig = Rig::with(fake, config).await;
    settle_down().await;
    rig
}

#[tokio::test(start_paused = true)]
async fn an_embedder_that_a_direct_request_unpinned_is_pinned_again_at_the_next_poll() {
    let rig = with_embedder().await;
    rig.inventory.refresh().await.unwrap();
    settle_down().await;
    assert_eq!(rig.fake.requests_to("/api/embed").len(), 1);

    rig.fake.queue("/api/ps", resident("2026-11-21T01:58:06Z"));
    rig.inventory.refresh().await.unwrap();
    settle_down().await;
    rig.inventory.refresh().await.unwrap();
    settle_down().await;

    let warmings = rig.fake.requests_to("/api/embed");
    assert_eq!(warmings.len(), 2);
    assert_eq!(body(&warmings[1])["keep_alive"], -1);
}

#[tokio::test(start_paused = true)]
async fn no_job_and_no_unload_takes_the_pin_from_the_embedder() {
    let rig = with_embedder().await;
    let wish = json!({"model": "all-minilm", "keep_alive": 0,
        "messages": [{"role": "user", "content": "hi"}]});
    let request = chat_with("all-minilm", &wish);
    let runner = request.runner.clone();

    text(rig.submit(request).await).await;
    let unload = rig.handle.unload("all-minilm", &runner).await.unwrap();
    settle_down().await;
    text(rig.submit(chat("a", "other")).await).await;

    assert_eq!(
        body(&rig.fake.requests_to("/api/chat")[0])["keep_alive"],
        -1
    );
    assert_eq!(unload, Unload::Deferred);
    assert!(rig.fake.requests_to("/api/generate").is_empty());
}
