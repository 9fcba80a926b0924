//! The scheduler seen through the API.
#![expect(clippy::expect_used, reason = "the helper that starts the stub")]

use std::time::Duration;

use foreman_stub::{EvictionReason, Hold, LoadReason, ModelSpec, Stub};
use pretty_assertions::assert_eq;

use crate::client::{open, post, request, rest, said, send};

fn chat(model: &str, extra: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{extra}}}"#)
}

async fn start(max_loaded: usize, max_queue: usize) -> Stub {
    let a = ModelSpec::chat("a").trained_context(8192);
    let alias = ModelSpec::alias_of(&a, "alias");
    let builder = Stub::builder()
        .model(a)
        .model(alias)
        .model(ModelSpec::chat("b"));
    let builder = builder.model(ModelSpec::embedding("e"));
    builder
        .max_loaded(max_loaded)
        .max_queue(max_queue)
        .utc_offset(2)
        .start()
        .await
        .expect("a stub starts")
}

#[tokio::test]
async fn ps_shows_a_pin_of_centuries_in_local_time() {
    let stub = start(2, 512).await;
    post(
        &stub,
        "/api/embed",
        r#"{"model":"e","input":"x","keep_alive":-1}"#,
    )
    .await;
    post(&stub, "/api/chat", &chat("a", "")).await;
    post(&stub, "/api/chat", &chat("b", "")).await;
    post(&stub, "/api/embed", r#"{"model":"e","input":"x"}"#).await;

    let ps = send(&stub, "GET", "/api/ps", "").await.body();

    assert!(
        ps.starts_with(r#"{"models":[{"name":"e:latest","model":"e:latest","size":"#),
        "{ps}"
    );
    let expires = ps.split(r#""expires_at":""#).nth(1).unwrap();
    assert!(expires.starts_with("23"), "{expires}");
    assert!(
        expires.split('"').next().unwrap().ends_with("+02:00"),
        "{expires}"
    );
    assert_eq!(stub.resident(), ["e:latest", "b:latest"]);
    assert_eq!(stub.counts().swaps, 1);
}

#[tokio::test]
async fn a_full_queue_is_answered_with_503() {
    let stub = start(1, 0).await;
    let gate = stub.hold(Hold::before_first_token());
    let mut busy = open(&stub, &request("POST", "/api/chat", "", &chat("a", ""))).await;
    gate.reached().await;
    let mut waiting = open(&stub, &request("POST", "/api/chat", "", &chat("b", ""))).await;
    stub.wait_for("the second", |record| record.counts.open_generations == 2)
        .await
        .unwrap();
    while stub.pending_loads() == 0 {
        tokio::task::yield_now().await;
    }

    let text = "server busy, please try again.  maximum pending requests exceeded";
    let expected = (503, format!(r#"{{"error":"{text}"}}"#));
    assert_eq!(said(&stub, "/api/chat", &chat("b", "")).await, expected);
    let (status, body) = said(&stub, "/v1/chat/completions", &chat("b", "")).await;
    assert_eq!(status, 503);
    assert!(body.contains("\"type\":\"api_error\""));
    let message = chat("b", r#","max_tokens":1"#);
    let (status, body) = said(&stub, "/v1/messages", &message).await;
    assert_eq!(status, 503);
    assert!(body.contains("\"type\":\"overloaded_error\""));
    gate.release();
    rest(&mut busy).await;
    rest(&mut waiting).await;
}

#[tokio::test]
async fn options_reload_and_aliases_do_not() {
    let stub = start(1, 512).await;
    for body in [
        chat("a", ""),
        chat("alias", ""),
        chat("a", r#","options":{"num_ctx":8192}"#),
        chat("a", r#","options":{"temperature":0}"#),
        chat("a", r#","shift":false"#),
    ] {
        assert_eq!(post(&stub, "/api/chat", &body).await.status, 200);
    }
    // The compatible routes have no options: they are like a chat without any.
    post(&stub, "/v1/chat/completions", &chat("a", "")).await;
    post(&stub, "/api/embed", r#"{"model":"a","input":"x"}"#).await;

    let reasons: Vec<_> = stub.record().loads.iter().map(|load| load.reason).collect();
    let reload = LoadReason::Reload;
    let expected = [
        LoadReason::Cold,
        reload("num_ctx"),
        reload("num_ctx"),
        reload("shift"),
        reload("shift"),
    ];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn keep_alive_zero_unloads_after_the_answer() {
    let stub = start(1, 512).await;

    let answer = post(&stub, "/api/chat", &chat("a", r#","keep_alive":0"#)).await;

    assert_eq!(answer.chunks.len(), 3);
    assert_eq!(stub.resident(), [""; 0]);
    assert_eq!(stub.record().evictions[0].reason, EvictionReason::Expired);
}

#[tokio::test]
async fn unloading_while_busy_answers_at_once_and_waits_for_the_end() {
    let stub = start(1, 512).await;
    let gate = stub.hold(Hold::before_first_token());
    let mut running = open(&stub, &request("POST", "/api/chat", "", &chat("a", ""))).await;
    gate.reached().await;
    let mut waiting = open(&stub, &request("POST", "/api/chat", "", &chat("a", ""))).await;
    stub.wait_for("the second", |record| record.counts.open_generations == 2)
        .await
        .unwrap();
    // A whole exchange later, the second one holds the runner too.
    post(&stub, "/api/chat", r#"{"model":"a"}"#).await;

    let (status, body) = said(&stub, "/api/chat", r#"{"model":"alias","keep_alive":0}"#).await;
    assert_eq!(status, 200);
    assert!(body.contains("\"done_reason\":\"unload\""));
    assert_eq!(stub.resident(), ["a:latest"]);
    gate.release();
    rest(&mut running).await;
    rest(&mut waiting).await;

    stub.wait_for("the unload", |record| record.counts.evictions == 1)
        .await
        .unwrap();
    assert_eq!((stub.counts().generations, stub.counts().loads), (2, 1));
}

#[tokio::test]
async fn a_load_takes_its_time() {
    let spec = ModelSpec::chat("a").load_time(Duration::from_millis(20));
    let stub = Stub::builder().model(spec).start().await.unwrap();

    let body = post(&stub, "/api/chat", &chat("a", "")).await.body();

    let load = body
        .split("\"load_duration\":")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    assert!(load.parse::<u64>().unwrap() >= 20_000_000, "{load}");
}
