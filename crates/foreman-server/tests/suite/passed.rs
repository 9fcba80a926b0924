//! What is passed through to the target.

use std::sync::Arc;
use std::time::Duration;

use foreman_ollama::{HyperClient, TargetConfig};
use foreman_scheduler::SchedulerConfig;
use foreman_server::ServerConfig;
use foreman_store::{SqliteConfig, SqliteStore};
use foreman_stub::{End, Fault, FaultRule, Hold, Stub};
use rstest::rstest;
use tokio::time;

use crate::harness::{Front, chat, until};

#[tokio::test]
async fn embeddings_do_not_wait_for_a_chat() {
    let front = Front::start().await;
    let gate = front
        .stub
        .hold(Hold::before_first_token().on_path("/api/chat"));
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;

    let body = r#"{"model":"all-minilm","input":"x"}"#;
    let native = front.post("/api/embed", body).await;
    let openai = front.post("/v1/embeddings", body).await;

    assert_eq!((native.status, openai.status), (200, 200));
    assert!(native.json()["embeddings"].is_array());
    assert_eq!(native.header("x-foreman-job-id"), None);
    gate.release();
    assert_eq!(running.reply().await.status, 200);
}

/// The store is the real one: its claims wait for jobs, where what is loaded is taken as known.
#[tokio::test]
async fn an_embedding_that_evicts_the_model_of_the_chats_is_noticed_after_a_rest() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&SqliteConfig::new(directory.path().join("queue.db"))).unwrap();
    let stub = Stub::builder().max_loaded(1).start().await.unwrap();
    let target = TargetConfig {
        url: stub.url(),
        ..TargetConfig::default()
    };
    let client = Arc::new(HyperClient::new(target).unwrap());
    let configs = (ServerConfig::default(), SchedulerConfig::default());
    let front = Front::start_over(Arc::new(store), client, stub, configs).await;
    assert_eq!(front.post("/api/chat", &chat("first")).await.status, 200);

    let embedding = r#"{"model":"all-minilm","input":"x"}"#;
    assert_eq!(front.post("/api/embed", embedding).await.status, 200);
    time::pause();
    time::advance(Duration::from_secs(5)).await;
    time::resume();

    assert_eq!(front.post("/api/chat", &chat("second")).await.status, 200);
    until(|| front.scheduler.status().swaps == 2).await;
}

#[tokio::test]
async fn headers_of_the_connection_and_of_foreman_are_not_passed_on() {
    let front = Front::start().await;
    let head = "POST /api/show\nUser-Agent: GitHubCopilotChat/1\nOrigin: http://localhost:1\n\
                X-Foreman-Keep: true\nAuthorization: Bearer x\nConnection: x-hop\nX-Hop: 1\n\
                X-Forwarded-For: 1.2.3.4\ntraceparent: 00-a-b-00";

    let reply = front.ask(head, r#"{"model":"llama3.2:1b"}"#).await;

    assert_eq!(reply.status, 200);
    let record = front.stub.record();
    let asked = record.on("/api/show").next().unwrap();
    assert_eq!(asked.header("user-agent"), Some("GitHubCopilotChat/1"));
    assert_eq!(asked.header("traceparent"), Some("00-a-b-00"));
    for gone in [
        "origin",
        "x-foreman-keep",
        "authorization",
        "x-hop",
        "x-forwarded-for",
    ] {
        assert_eq!(asked.header(gone), None, "{gone}");
    }
    assert_eq!(
        asked.header("host"),
        Some(front.stub.address().to_string().as_str())
    );
}

#[rstest]
#[case("GET /nope", 404, "404 page not found")]
#[case("HEAD /api/ps", 405, "")]
#[case("GET /api/show", 405, "405 method not allowed")]
#[case("POST /api/show", 400, r#"{"error":"missing request body"}"#)]
#[tokio::test]
async fn the_targets_own_answer_comes_back(
    #[case] head: &str,
    #[case] status: u16,
    #[case] body: &str,
) {
    let front = Front::start().await;
    let mut caller = front.caller().await;

    caller.send(&format!("{head}\nConnection: close"), "").await;
    let found = caller.head().await.0;
    let text = caller.remainder().await;

    assert_eq!((found, text.as_str()), (status, body));
}

#[tokio::test]
async fn a_large_upload_is_passed_on_while_it_comes() {
    let front = Front::start().await;
    let piece = vec![b'x'; 256 * 1024];
    let mut caller = front.caller().await;
    let head = format!(
        "POST /api/blobs/sha256:{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        "0".repeat(64),
        16 * piece.len()
    );
    caller.send_raw(head.as_bytes()).await;

    for _ in 0..16 {
        caller.send_raw(&piece).await;
    }
    let reply = caller.reply().await;

    assert_eq!(reply.status, 400, "the digest does not match");
    let record = front.stub.record();
    let asked = record
        .requests
        .iter()
        .find(|asked| asked.path.starts_with("/api/blobs"))
        .unwrap();
    assert_eq!(asked.header("content-length"), Some("4194304"));
}

#[tokio::test]
async fn progress_comes_line_by_line_and_leaving_stops_it() {
    let front = Front::start().await;
    front
        .stub
        .inject(FaultRule::once(Fault::StallAfter(1)).on_path("/api/pull"));
    let mut caller = front.caller().await;
    caller.send("POST /api/pull", r#"{"model":"new:1b"}"#).await;

    let status = caller.head().await.0;
    let line = caller.chunk().await;
    drop(caller);

    assert_eq!(status, 200);
    assert_eq!(line, "{\"status\":\"pulling manifest\"}\n");
    front
        .stub
        .wait_for("the pull is given up", |record| {
            record
                .on("/api/pull")
                .any(|asked| asked.end == Some(End::ClientGone))
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_target_that_is_away_is_a_bad_gateway_but_for_what_is_loaded() {
    let front = Front::start().await;
    front.stub.stop_listening().await;

    let show = front.post("/api/show", r#"{"model":"llama3.2:1b"}"#).await;
    let embed = front
        .post("/v1/embeddings", r#"{"model":"all-minilm","input":"x"}"#)
        .await;
    let loaded = front.get("/api/ps").await;

    assert_eq!(show.status, 502);
    assert_eq!(show.json()["code"], "target_unreachable");
    assert_eq!(embed.status, 502);
    assert_eq!(embed.json()["error"]["type"], "api_error");
    assert_eq!(
        (loaded.status, loaded.text().as_str()),
        (200, r#"{"models":[]}"#)
    );
    assert_eq!(loaded.header("x-foreman-target"), Some("unreachable"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_ended_as_if_it_were_whole() {
    let front = Front::start().await;
    front
        .stub
        .inject(FaultRule::once(Fault::CloseAfter(1)).on_path("/api/pull"));
    let mut caller = front.caller().await;
    caller.send("POST /api/pull", r#"{"model":"new:1b"}"#).await;

    assert_eq!(caller.head().await.0, 200);
    let rest = caller.remainder().await;

    assert!(!rest.ends_with("0\r\n\r\n"), "{rest}");
}
