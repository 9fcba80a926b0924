//! Requests that become jobs.

use std::time::Duration;

use foreman_job::Priority;
use foreman_ollama::Deadlines;
use foreman_scheduler::SchedulerConfig;
use foreman_server::{Interim, ServerConfig, TokenEntry};
use foreman_stub::{End, Fault, FaultRule, Hold, Stub};
use rstest::rstest;

use crate::harness::{Front, Start, chat, until};

const ULID: usize = 26;

#[tokio::test]
async fn a_chat_comes_chunk_by_chunk_as_the_target_sends_it() {
    let front = Front::start().await;

    let reply = front.post("/api/chat", &chat("one two three")).await;

    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.header("x-foreman-job-id").unwrap().len(), ULID);
    assert_eq!(reply.header("x-foreman-attempt"), Some("1"));
    assert!(reply.header("x-foreman-queue-ms").is_some());
    assert_eq!(reply.header("x-foreman-error-code"), None);
    assert!(reply.chunks.len() > 3, "{:?}", reply.chunks);
    for chunk in &reply.chunks {
        assert!(chunk.ends_with('\n') && chunk.matches('\n').count() == 1);
    }
    assert!(reply.chunks.last().unwrap().contains(r#""done":true"#));
    let record = front.stub.record();
    let asked = record.on("/api/chat").next().unwrap();
    assert_eq!(asked.chunks, reply.chunks.len());
    assert_eq!(asked.header("x-foreman-priority"), None);
}

#[tokio::test]
async fn an_answer_in_one_piece_has_its_length() {
    let front = Front::start().await;
    let body = chat("hello").replace("{\"model\"", "{\"stream\":false,\"model\"");

    let reply = front.post("/api/chat", &body).await;

    assert_eq!(reply.status, 200);
    assert!(reply.header("content-length").is_some());
    assert!(reply.text().contains("hello"));
}

#[rstest]
#[case("/api/chat", "", 400, r#"{"error":"missing request body"}"#)]
#[case("/api/chat", "{}", 400, r#"{"error":"model is required"}"#)]
#[case("/api/generate", "{}", 404, r#"{"error":"model '' not found"}"#)]
#[case(
    "/api/chat",
    r#"{"model":"nope","messages":[{"role":"user","content":"x"}]}"#,
    404,
    r#"{"error":"model 'nope' not found"}"#
)]
#[tokio::test]
async fn a_request_that_cannot_work_gets_the_targets_own_words_and_no_slot(
    #[case] path: &str,
    #[case] body: &str,
    #[case] status: u16,
    #[case] expected: &str,
) {
    let front = Front::start().await;

    let reply = front.post(path, body).await;

    assert_eq!((reply.status, reply.text().as_str()), (status, expected));
    assert_eq!(front.stub.record().on(path).count(), 0);
}

/// A request whose options the target would refuse, once it has found the model.
fn bad_options(model: &str) -> String {
    let body = chat("hi").replace("llama3.2:1b", model);
    body.replacen('{', r#"{"options":{"num_ctx":"big"},"#, 1)
}

#[tokio::test]
async fn a_model_that_is_not_there_is_told_before_what_is_wrong_with_its_options() {
    let front = Front::start().await;

    let unknown = front.post("/api/chat", &bad_options("nope")).await;
    let known = front.post("/api/chat", &bad_options("llama3.2:1b")).await;
    let elsewhere = front.post("/api/chat", &bad_options("big:cloud")).await;

    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.text(), r#"{"error":"model 'nope' not found"}"#);
    assert_eq!(known.status, 500);
    assert!(known.text().contains("num_ctx"));
    assert_eq!(elsewhere.status, 403);
    assert!(elsewhere.text().contains("cloud is disabled"));
    assert_eq!(front.stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn refusals_of_other_apis_have_their_shape() {
    let front = Front::start().await;

    let openai = front
        .post("/v1/completions", r#"{"model":"nope","prompt":"x"}"#)
        .await;
    let anthropic = front.post("/v1/messages", "{}").await;

    assert_eq!(openai.status, 404);
    assert_eq!(openai.json()["error"]["message"], "model 'nope' not found");
    assert_eq!(anthropic.status, 400);
    assert_eq!(anthropic.json()["error"]["message"], "model is required");
    let id = anthropic.json()["request_id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), "req_".len() + 24);
}

#[tokio::test]
async fn a_model_that_was_added_by_hand_is_found_by_one_fresh_poll() {
    let front = Front::start().await;
    front
        .stub
        .add_model(foreman_stub::ModelSpec::chat("new:1b"))
        .unwrap();
    let body = chat("hi").replace("llama3.2:1b", "new:1b");

    let reply = front.post("/api/chat", &body).await;

    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_job_for_a_target_that_nobody_saw_yet_waits_for_it() {
    let config = SchedulerConfig::default();
    let front = Front::start_all(
        ServerConfig::default(),
        Stub::builder(),
        config,
        Start::TargetAway,
    )
    .await;
    let mut caller = front.caller().await;
    caller.send("POST /api/chat", &chat("hi")).await;
    until(|| front.scheduler.store().counts().queued > 0).await;

    front.stub.resume_listening().await.unwrap();

    assert_eq!(caller.reply().await.status, 200);
}

#[tokio::test]
async fn a_waiting_caller_that_leaves_takes_its_job_along() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut first = front.caller().await;
    first.send("POST /api/chat", &chat("first")).await;
    gate.reached().await;
    let mut second = front.caller().await;
    second.send("POST /api/chat", &chat("second")).await;
    front.until_queued(1).await;

    drop(second);

    until(|| front.scheduler.store().counts().cancelled == 1).await;
    gate.release();
    assert_eq!(first.reply().await.status, 200);
    assert_eq!(front.stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_its_running_job_frees_the_target() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::after_chunks(1));
    let mut caller = front.caller().await;
    caller.send("POST /api/chat", &chat("one two three")).await;
    assert_eq!(caller.head().await.0, 200);

    drop(caller);

    front
        .stub
        .wait_for("the connection to the target ends", |record| {
            record
                .on("/api/chat")
                .any(|asked| asked.end == Some(End::ClientGone))
        })
        .await
        .unwrap();
    drop(gate);
}

#[tokio::test]
async fn a_full_queue_is_told_in_the_targets_words() {
    let scheduling = SchedulerConfig {
        max_queue: 1,
        ..SchedulerConfig::default()
    };
    let front = Front::start_all(
        ServerConfig::default(),
        Stub::builder(),
        scheduling,
        Start::Polled,
    )
    .await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;
    let mut waiting = front.caller().await;
    waiting.send("POST /api/chat", &chat("waiting")).await;
    front.until_queued(1).await;

    let refused = front.post("/api/chat", &chat("refused")).await;

    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.json()["error"],
        "server busy, please try again.  maximum pending requests exceeded"
    );
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-foreman-error-code"), Some("queue_full"));
    gate.release();
    assert_eq!(running.reply().await.status, 200);
    assert_eq!(waiting.reply().await.status, 200);
}

#[tokio::test]
async fn an_unload_while_the_model_works_is_answered_at_once() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;

    let reply = front
        .post("/api/generate", r#"{"model":"llama3.2:1b","keep_alive":0}"#)
        .await;

    assert_eq!(reply.status, 200);
    let answer = reply.json();
    assert_eq!(answer["model"], "llama3.2:1b");
    assert_eq!(answer["done_reason"], "unload");
    assert_eq!(
        (&answer["done"], &answer["response"]),
        (&true.into(), &"".into())
    );
    gate.release();
    assert_eq!(running.reply().await.status, 200);
}

#[tokio::test]
async fn an_unload_of_an_idle_model_is_passed_on() {
    let front = Front::start().await;
    assert_eq!(front.post("/api/chat", &chat("hi")).await.status, 200);
    until(|| front.scheduler.status().running.is_none()).await;

    let body = r#"{"model":"llama3.2:1b","keep_alive":0}"#;
    let reply = front.post("/api/chat", body).await;

    assert_eq!(reply.json()["done_reason"], "unload");
    until(|| front.stub.resident().is_empty()).await;
}

#[tokio::test]
async fn a_cloud_model_takes_no_slot() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;
    let body = chat("hi").replace("llama3.2:1b", "big:cloud");

    let reply = front.post("/api/chat", &body).await;

    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("cloud is disabled"));
    gate.release();
    assert_eq!(running.reply().await.status, 200);
}

#[rstest]
#[case("X-Foreman-Priority: urgent", "x-foreman-priority")]
#[case("X-Foreman-Expires-In: soon", "x-foreman-expires-in")]
#[tokio::test]
async fn a_bad_header_is_refused_by_name(#[case] header: &str, #[case] name: &str) {
    let front = Front::start().await;

    let reply = front
        .ask(&format!("POST /api/chat\n{header}"), &chat("hi"))
        .await;

    assert_eq!(reply.status, 400);
    assert!(reply.text().contains(name));
}

#[tokio::test]
async fn a_job_that_expires_in_the_queue_is_a_timeout() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;

    let head = "POST /v1/chat/completions\nX-Foreman-Expires-In: 20ms";
    let reply = front.ask(head, &chat("late")).await;

    assert_eq!(reply.status, 504);
    assert_eq!(reply.json()["error"]["code"], "expired");
    assert_eq!(reply.header("x-foreman-error-source"), Some("foreman"));
    gate.release();
    assert_eq!(running.reply().await.status, 200);
}

#[tokio::test]
async fn the_job_carries_its_callers_name_and_capped_priority() {
    let config = ServerConfig {
        tokens: vec![TokenEntry::new("bob", "secret", Priority::Low)],
        direct_deadlines: Deadlines::UNLIMITED,
        ..ServerConfig::default()
    };
    let front = Front::start_with(config, Stub::builder()).await;

    let head = "POST /api/chat\nAuthorization: Bearer secret\nX-Foreman-Priority: high";
    let reply = front.ask(head, &chat("hi")).await;

    let id = reply.header("x-foreman-job-id").unwrap().parse().unwrap();
    let job = front.scheduler.store().job(id).await.unwrap().unwrap();
    assert_eq!(job.caller.as_deref(), Some("bob"));
    assert_eq!(job.priority, Priority::Low);
    let record = front.stub.record();
    let asked = record.on("/api/chat").next().unwrap();
    assert_eq!(asked.header("authorization"), None);
}

#[tokio::test]
async fn a_waiting_caller_gets_interim_responses_and_then_its_answer() {
    let config = ServerConfig {
        interim: Interim::On(Duration::from_millis(1)),
        ..ServerConfig::default()
    };
    let front = Front::start_with(config, Stub::builder()).await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut caller = front.caller().await;
    caller.send("POST /api/chat", &chat("hi")).await;
    gate.reached().await;

    for _ in 0..3 {
        let (status, headers) = caller.head().await;
        assert_eq!((status, headers.len()), (102, 0));
    }
    gate.release();

    let mut reply = caller.reply().await;
    while reply.status == 102 {
        reply = caller.reply().await;
    }
    assert_eq!(reply.status, 200);
    assert!(reply.chunks.last().unwrap().contains(r#""done":true"#));
}

#[tokio::test]
async fn a_caller_that_asks_for_heartbeats_gets_spaces_and_then_its_answer() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let fault = FaultRule::once(Fault::Status {
        status: 400,
        body: r#"{"error":"not like this"}"#.to_owned(),
        retry_after: None,
    });
    let mut caller = front.caller().await;
    caller
        .send("POST /api/chat\nX-Foreman-Heartbeat: 1s", &chat("hi"))
        .await;
    let (status, headers) = caller.head().await;
    gate.reached().await;

    let beat = caller.chunk().await;
    gate.release();
    let first = caller.chunk().await;

    assert_eq!(status, 200);
    assert!(headers.contains(&("content-type".to_owned(), "application/x-ndjson".to_owned())));
    assert_eq!(beat, " ");
    assert!(first.starts_with(r#"{"model""#));

    front.stub.inject(fault.on_path("/api/chat"));
    let refused = front
        .ask("POST /api/chat\nX-Foreman-Heartbeat: 9s", &chat("hi"))
        .await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (200, "{\"error\":\"not like this\"}\n")
    );
}
