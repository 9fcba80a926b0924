//! Details of HTTP.

use std::time::Duration;

use foreman_server::ServerConfig;
use foreman_stub::Stub;

use crate::harness::{Front, chat};

async fn small_bodies() -> Front {
    let config = ServerConfig {
        max_body: 200,
        body_idle_timeout: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    Front::start_with(config, Stub::builder()).await
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let front = small_bodies().await;
    let mut caller = front.caller().await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";

    caller.send_raw(head.as_bytes()).await;
    let reply = caller.reply().await;

    assert_eq!(reply.status, 413);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(reply.json()["code"], "body_too_large");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_refused_when_it_is_too_large() {
    let front = small_bodies().await;
    let mut caller = front.caller().await;
    let head =
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    caller.send_raw(head.as_bytes()).await;

    caller
        .send_raw(format!("c9\r\n{}\r\n", "x".repeat(201)).as_bytes())
        .await;
    let reply = caller.reply().await;

    assert_eq!(reply.status, 413);
    assert_eq!(reply.json()["error"]["type"], "request_too_large");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let front = small_bodies().await;
    let mut caller = front.caller().await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{";

    caller.send_raw(head.as_bytes()).await;

    assert_eq!(caller.reply().await.status, 408);
}

#[tokio::test]
async fn a_chunked_body_is_sent_on_with_its_length() {
    let front = Front::start().await;
    let body = chat("hi");
    let (one, two) = body.split_at(10);
    let mut caller = front.caller().await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!(
        "{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );

    caller.send_raw(format!("{head}{chunks}").as_bytes()).await;
    let reply = caller.reply().await;

    assert_eq!(reply.status, 200);
    let record = front.stub.record();
    let asked = record.on("/api/chat").next().unwrap();
    assert!(asked.header("content-length").is_some());
    assert!(asked.body_text().starts_with(body.trim_end_matches('}')));
}

#[tokio::test]
async fn only_a_large_body_of_unknown_length_is_streamed_on_in_chunks() {
    let front = Front::start().await;
    for (size, path) in [(10, "/api/embed"), (100_000, "/api/embeddings")] {
        let text = "x".repeat(size);
        let body = format!(r#"{{"model":"all-minilm","input":"{text}","prompt":"{text}"}}"#);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let mut caller = front.caller().await;

        let sent = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        caller.send_raw(sent.as_bytes()).await;

        assert_eq!(caller.reply().await.status, 200);
        let record = front.stub.record();
        let asked = record.on(path).next().unwrap();
        assert_eq!(asked.body_text(), body);
        let expected = (size < 65_536).then(|| body.len().to_string());
        assert_eq!(asked.header("content-length"), expected.as_deref());
    }
}

#[tokio::test]
async fn who_asks_first_whether_to_send_is_told_to_go_on() {
    let front = Front::start().await;
    let body = chat("hi");
    let mut caller = front.caller().await;
    let head = format!(
        "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    );

    caller.send_raw(head.as_bytes()).await;
    let go_on = caller.head().await.0;
    caller.send_raw(body.as_bytes()).await;

    assert_eq!(go_on, 100);
    assert_eq!(caller.reply().await.status, 200);
}

#[tokio::test]
async fn an_old_caller_gets_a_body_that_ends_with_the_connection() {
    let front = Front::start().await;
    let body = chat("hi");
    let mut caller = front.caller().await;
    let head = format!(
        "POST /api/chat HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );

    caller.send_raw(head.as_bytes()).await;
    let (status, headers) = caller.head().await;
    let text = caller.remainder().await;

    assert_eq!(status, 200);
    assert!(!headers.iter().any(|(name, _)| name == "transfer-encoding"));
    assert!(text.starts_with(r#"{"model""#) && text.ends_with("}\n"));
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let front = Front::start().await;
    let mut caller = front.caller().await;

    for path in ["/api/chat", "/api/chat", "/nope"] {
        caller.send(&format!("POST {path}"), &chat("hi")).await;
        let reply = caller.reply().await;
        assert_eq!(reply.status, if path == "/nope" { 404 } else { 200 });
    }
    caller.send("GET /api/version", "").await;
    assert_eq!(caller.reply().await.status, 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let front = Front::start().await;
    let mut caller = front.caller().await;

    caller.send("GET /", "").await;
    caller.send("GET /api/version", "").await;

    assert_eq!(caller.reply().await.text(), "Ollama is running");
    assert!(caller.reply().await.json()["version"].is_string());
}

#[tokio::test]
async fn half_a_head_is_given_up() {
    let config = ServerConfig {
        header_timeout: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let front = Front::start_with(config, Stub::builder()).await;
    let mut caller = front.caller().await;

    caller.send_raw(b"GET / HTTP/1.1\r\nHost: loc").await;

    assert_eq!(caller.remainder().await, "");
}

#[tokio::test]
async fn a_caller_that_sends_all_the_same_still_gets_its_refusal() {
    let front = small_bodies().await;
    let mut caller = front.caller().await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n";
    caller.send_raw(head.as_bytes()).await;

    caller.send_raw(&vec![b'x'; 4_000_000]).await;

    assert_eq!(caller.reply().await.status, 413);
}
