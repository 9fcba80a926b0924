//! Lists of models and the version, from memory.

use foreman_scheduler::SchedulerConfig;
use foreman_server::ServerConfig;
use foreman_stub::Stub;

use crate::harness::{Front, Start};

#[tokio::test]
async fn lists_are_answered_while_the_target_is_away() {
    let front = Front::start().await;
    let before = front.get("/api/tags").await;
    front.stub.stop_listening().await;

    let tags = front.get("/api/tags").await;
    let version = front.get("/api/version").await;
    let models = front.get("/v1/models").await;

    assert_eq!(
        (tags.status, version.status, models.status),
        (200, 200, 200)
    );
    assert_eq!(tags.text(), before.text());
    assert_eq!(
        tags.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(models.header("content-type"), Some("application/json"));
    assert!(version.json()["version"].is_string());
}

#[tokio::test]
async fn a_head_has_the_length_and_no_body() {
    let front = Front::start().await;
    let full = front.get("/api/tags").await;
    let mut caller = front.caller().await;

    caller.send("HEAD /api/tags\nConnection: close", "").await;
    let (status, headers) = caller.head().await;

    assert_eq!(status, 200);
    let length = ("content-length".to_owned(), full.text().len().to_string());
    assert!(headers.contains(&length));
    assert_eq!(caller.remainder().await, "");
}

#[tokio::test]
async fn one_model_is_found_by_any_spelling_and_named_as_asked() {
    let front = Front::start().await;

    let found = front.get("/v1/models/LLAMA3.2:1b").await;
    let missing = front.get("/v1/models/nope").await;

    assert_eq!(found.status, 200);
    assert_eq!(found.header("content-type"), Some("application/json"));
    assert_eq!(found.json()["id"], "LLAMA3.2:1b");
    assert_eq!(found.json()["object"], "model");
    assert_eq!(missing.status, 404);
    assert_eq!(
        missing.text(),
        "{\"error\":{\"message\":\"model 'nope:latest' not found\",\"type\":\"not_found_error\",\
         \"param\":null,\"code\":null}}\n"
    );
}

#[tokio::test]
async fn what_nobody_ever_saw_is_a_bad_gateway() {
    let scheduling = SchedulerConfig::default();
    let config = ServerConfig::default();
    let front = Front::start_all(config, Stub::builder(), scheduling, Start::TargetAway).await;

    let tags = front.get("/api/tags").await;
    let models = front.get("/v1/models").await;

    assert_eq!(tags.status, 502);
    assert_eq!(tags.json()["code"], "target_unreachable");
    assert_eq!(models.json()["error"]["code"], "target_unreachable");
}

#[tokio::test]
async fn a_caller_finds_its_own_change_in_the_next_list() {
    let front = Front::start().await;
    let copy = r#"{"source":"llama3.2:1b","destination":"mine"}"#;

    let copied = front.post("/api/copy", copy).await;
    let with = front.get("/api/tags").await;
    let deleted = front.ask("DELETE /api/delete", r#"{"model":"mine"}"#).await;
    let without = front.get("/api/tags").await;

    assert_eq!((copied.status, copied.text().as_str()), (200, ""));
    assert_eq!(copied.header("content-type"), None);
    assert!(with.text().contains("mine:latest"));
    assert_eq!(deleted.status, 200);
    assert!(!without.text().contains("mine:latest"));
}
