//! How answers end that do not end well.

use foreman_job::RetryPolicy;
use foreman_scheduler::SchedulerConfig;
use foreman_server::ServerConfig;
use foreman_stub::{Fault, FaultRule, Stub};
use rstest::rstest;

use crate::harness::{Front, Start, chat};

async fn impatient() -> Front {
    let scheduling = SchedulerConfig {
        retry: RetryPolicy {
            max_attempts: 1,
            ..RetryPolicy::default()
        },
        ..SchedulerConfig::default()
    };
    Front::start_all(
        ServerConfig::default(),
        Stub::builder(),
        scheduling,
        Start::Polled,
    )
    .await
}

fn streamed(path: &str) -> String {
    let body = chat("one two three");
    let extra = if path == "/v1/responses" {
        r#"{"input":"one two three","stream":true,"#
    } else {
        r#"{"max_tokens":9,"stream":true,"#
    };
    format!("{extra}{}", body.trim_start_matches('{'))
}

#[rstest]
#[case("/api/chat", "{\"error\":\"")]
#[case("/v1/chat/completions", "data: {\"error\":{\"message\":\"")]
#[case(
    "/v1/messages",
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""
)]
#[case(
    "/v1/responses",
    "event: error\ndata: {\"type\":\"error\",\"code\":\"truncated\""
)]
#[tokio::test]
async fn an_answer_that_breaks_off_ends_properly_with_an_error_of_its_api(
    #[case] path: &str,
    #[case] expected: &str,
) {
    let front = impatient().await;
    let fault = FaultRule::once(Fault::ResetAfter(2)).on_path(path);
    front.stub.inject(fault);

    let reply = front.post(path, &streamed(path)).await;

    assert_eq!(reply.status, 200);
    let (last, before) = reply.chunks.split_last().unwrap();
    assert!(last.starts_with(expected), "{last}");
    assert_eq!(before.len(), 2, "{before:?}");
}

#[tokio::test]
async fn an_answer_without_its_last_chunk_is_told_to_be_incomplete() {
    let front = impatient().await;
    front
        .stub
        .inject(FaultRule::once(Fault::EndAfter(2)).on_path("/api/chat"));

    let reply = front.post("/api/chat", &chat("one two three")).await;

    assert!(reply.chunks.last().unwrap().starts_with("{\"error\":\""));
}

#[tokio::test]
async fn the_targets_own_error_line_is_the_last_one() {
    let front = impatient().await;
    let fault = FaultRule::once(Fault::ErrorLineAfter {
        chunks: 2,
        message: "the runner died".to_owned(),
    });
    front.stub.inject(fault.on_path("/api/chat"));

    let reply = front.post("/api/chat", &chat("one two three")).await;

    assert_eq!(
        reply.chunks.last().unwrap(),
        "{\"error\":\"the runner died\"}\n"
    );
    assert_eq!(reply.text().matches("\"error\"").count(), 1);
}

#[tokio::test]
async fn a_connection_failure_is_a_bad_gateway_with_its_job() {
    let front = impatient().await;
    let fault = FaultRule::always(Fault::ResetBeforeHead).on_path("/api/chat");
    front.stub.inject(fault);

    let reply = front.post("/api/chat", &chat("hi")).await;

    assert_eq!(reply.status, 502);
    assert_eq!(reply.header("x-foreman-error-code"), Some("target_closed"));
    assert_eq!(reply.header("x-foreman-error-source"), Some("target"));
    assert_eq!(
        reply.json()["job"].as_str(),
        reply.header("x-foreman-job-id")
    );
}

#[tokio::test]
async fn the_targets_own_refusal_comes_as_it_is() {
    let front = impatient().await;
    let body = r#"{"error":"does not support this"}"#;
    let fault = FaultRule::once(Fault::Status {
        status: 400,
        body: body.to_owned(),
        retry_after: None,
    });
    front.stub.inject(fault.on_path("/api/chat"));

    let reply = front.post("/api/chat", &chat("hi")).await;

    assert_eq!((reply.status, reply.text().as_str()), (400, body));
    assert_eq!(
        reply.header("x-foreman-error-code"),
        Some("target_rejected")
    );
}

#[tokio::test]
async fn a_repeated_request_learns_that_its_job_failed() {
    let front = impatient().await;
    front
        .stub
        .inject(FaultRule::once(Fault::ResetAfter(2)).on_path("/api/chat"));
    let head = "POST /api/chat\nIdempotency-Key: k";

    let first = front.ask(head, &chat("one two three")).await;
    let again = front.ask(head, &chat("one two three")).await;

    assert!(first.chunks.last().unwrap().starts_with("{\"error\":"));
    assert_eq!(
        (again.status, &again.json()["code"]),
        (502, &"truncated".into())
    );
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(front.stub.record().on("/api/chat").count(), 1);
}
