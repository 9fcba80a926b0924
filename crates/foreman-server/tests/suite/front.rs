//! Foreman's own pages, redirects, origins, hosts and tokens.

use std::sync::Arc;

use foreman_job::Priority;
use foreman_ollama::FakeOllama;
use foreman_scheduler::SchedulerConfig;
use foreman_server::{ServerConfig, TokenEntry};
use foreman_stub::Stub;
use rstest::rstest;

use crate::harness::{Front, chat};

async fn with_token() -> Front {
    let config = ServerConfig {
        tokens: vec![TokenEntry::new("alice", "secret", Priority::High)],
        ..ServerConfig::default()
    };
    Front::start_with(config, Stub::builder()).await
}

#[tokio::test]
async fn the_greeting_is_the_targets() {
    let front = Front::start().await;

    let reply = front.get("/").await;

    assert_eq!(
        (reply.status, reply.text().as_str()),
        (200, "Ollama is running")
    );
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

#[tokio::test]
async fn health_tells_what_is_wrong_and_stays_well_without_its_target() {
    let front = Front::start().await;
    let before = front.get("/healthz").await;
    front.stub.stop_listening().await;
    front.post("/api/show", r#"{"model":"llama3.2:1b"}"#).await;

    let after = front.get("/healthz").await;
    let ready = front.get("/readyz").await;

    assert_eq!(
        (before.status, &before.json()["status"]),
        (200, &"ok".into())
    );
    assert_eq!(before.json()["target"]["reachable"], true);
    assert_eq!(
        (after.status, &after.json()["status"]),
        (200, &"degraded".into())
    );
    assert_eq!(after.json()["target"]["degraded"], true);
    assert_eq!(after.json()["queue"]["queued"], 0);
    assert_eq!(ready.status, 200);
}

#[tokio::test]
async fn figures_are_prometheus_text() {
    let front = Front::start().await;
    front.post("/api/chat", &chat("hi")).await;

    let reply = front.get("/metrics").await;

    let text = reply.text();
    assert!(text.contains("foreman_http_requests_total{route=\"queued\",status=\"200\"} 1\n"));
    assert!(text.contains("foreman_target_up 1\n"));
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn foremans_name_space_is_never_passed_on() {
    let front = Front::start().await;

    let reply = front.get("/foreman/v1/nothing").await;

    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (404, &"not_found".into())
    );
    assert_eq!(front.stub.record().on("/foreman/v1/nothing").count(), 0);
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_right() {
    let front = Front::start().await;

    let reply = front.get("/api/chat").await;

    assert_eq!(
        (reply.status, reply.text().as_str()),
        (405, "405 method not allowed")
    );
    assert_eq!(reply.header("allow"), Some("POST"));
    assert_eq!(reply.header("content-type"), Some("text/plain"));
}

#[rstest]
#[case(
    "GET /api/tags/",
    301,
    "/api/tags",
    "<a href=\"/api/tags\">Moved Permanently</a>.\n\n"
)]
#[case(
    "GET //api/tags",
    307,
    "/api/tags",
    "<a href=\"/api/tags\">Temporary Redirect</a>.\n\n"
)]
#[case("POST /api/chat/", 307, "/api/chat", "")]
#[tokio::test]
async fn another_spelling_is_redirected_as_the_target_does(
    #[case] head: &str,
    #[case] status: u16,
    #[case] location: &str,
    #[case] body: &str,
) {
    let front = Front::start().await;

    let reply = front.ask(head, "").await;

    assert_eq!((reply.status, reply.text().as_str()), (status, body));
    assert_eq!(reply.header("location"), Some(location));
}

#[tokio::test]
async fn origins_are_judged_here_and_answers_are_marked_for_browsers() {
    let front = Front::start().await;

    let preflight = front
        .ask(
            "OPTIONS /api/chat\nOrigin: http://localhost:3000\nAccess-Control-Request-Method: POST",
            "",
        )
        .await;
    let allowed = front
        .ask("GET /api/version\nOrigin: http://localhost:3000", "")
        .await;
    let refused = front
        .ask("POST /api/chat\nOrigin: http://evil.example", &chat("x"))
        .await;

    assert_eq!(preflight.status, 204);
    let headers = preflight.header("access-control-allow-headers").unwrap();
    assert!(headers.contains("X-Foreman-Keep"));
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    assert_eq!(allowed.header("vary"), Some("Origin"));
    assert_eq!((refused.status, refused.text().as_str()), (403, ""));
    assert_eq!(front.stub.record().on("/api/chat").count(), 0);
}

#[tokio::test]
async fn a_foreign_host_is_refused_on_loopback() {
    let front = Front::start().await;

    let foreign = front.ask("GET /api/version\nHost: evil.example", "").await;
    let local = front
        .ask("GET /api/version\nHost: foo.local:8080", "")
        .await;
    let options = front.ask("OPTIONS /api/chat\nHost: localhost", "").await;
    let by_address = front.ask("OPTIONS /api/chat\nHost: 127.0.0.1", "").await;

    assert_eq!((foreign.status, foreign.text().as_str()), (403, ""));
    assert_eq!(local.status, 200);
    assert_eq!(options.status, 204);
    assert_eq!(by_address.status, 405);
}

#[rstest]
#[case("GET /api/tags")]
#[case("POST /api/chat")]
#[case("GET /metrics")]
#[case("POST /api/show\nAuthorization: Bearer wrong")]
#[tokio::test]
async fn without_its_token_nobody_comes_in(#[case] head: &str) {
    let front = with_token().await;

    let reply = front.ask(head, "").await;

    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    assert_eq!(reply.json()["code"], "unauthorized");
}

#[tokio::test]
async fn probes_need_no_token_and_clients_may_use_their_own_header() {
    let front = with_token().await;

    assert_eq!(front.get("/").await.status, 200);
    assert_eq!(front.get("/healthz").await.status, 200);
    assert_eq!(front.get("/readyz").await.status, 200);
    let bearer = front
        .ask("GET /api/tags\nAuthorization: Bearer secret", "")
        .await;
    let key = front
        .ask("POST /v1/messages\nx-api-key: secret", "{}")
        .await;
    let none = front.post("/v1/messages", "{}").await;

    assert_eq!(bearer.status, 200);
    assert_eq!(key.status, 400, "known, and then judged");
    assert_eq!(none.status, 401);
    assert_eq!(none.json()["error"]["type"], "authentication_error");
}

#[tokio::test]
async fn a_defect_costs_one_caller_one_answer() {
    let stub = Stub::start().await.unwrap();
    let client = FakeOllama::new();
    client.on("/api/embed", |_| panic!("a defect"));
    let (config, scheduling) = (ServerConfig::default(), SchedulerConfig::default());
    let front = Front::start_on(Arc::new(client), stub, config, scheduling).await;
    let mut caller = front.caller().await;

    caller.send("POST /api/embed", "{}").await;
    let failed = caller.reply().await;
    caller.send("GET /", "").await;
    let next = caller.reply().await;

    assert_eq!(
        (failed.status, &failed.json()["code"]),
        (500, &"internal".into())
    );
    assert_eq!(next.status, 200);
    assert!(!failed.text().contains("a defect"));
}
