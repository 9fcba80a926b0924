//! Traps in how answers end, and in what is done again.

use foreman_stub::{Fault, FaultRule, Hold};
use foreman_tests::{Exchange, Pair, chat, chat_stream, stub};
use serde_json::{Value, json};

use super::{figure, post};
use crate::{A, foreman};

const FAILED: &str = "foreman_jobs_settled_total{state=\"failed\",model=\"llama3.2:1b\"} ";

#[tokio::test]
async fn trap_09_a_500_about_the_request_itself_is_not_tried_again() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let body = r#"{"error":"option \"num_ctx\" must be of type integer"}"#;
    stub.inject(
        FaultRule::always(Fault::Status {
            status: 500,
            body: body.to_owned(),
            retry_after: None,
        })
        .on_path("/api/chat"),
    );

    let reply = foreman.post("/api/chat", &chat(A, "hi")).await;

    assert_eq!((reply.status(), reply.text().as_str()), (500, body));
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn trap_13_a_failure_in_mid_stream_is_a_last_line_and_a_proper_end() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let own = foreman
        .post("/api/chat", &chat_stream(A, "stub:error-mid stub:tokens=5"))
        .await;
    stub.inject(FaultRule::once(Fault::ResetAfter(2)).on_path("/api/chat"));
    let gate = stub.hold(Hold::after_chunks(2));
    let body = chat_stream(A, "one two three");
    let mut cut = Exchange::post(foreman.url(), "/api/chat", &body).await;
    cut.chunk().await.unwrap();
    gate.release();
    let cut = cut.reply().await;

    assert_eq!((own.status(), own.clean, own.lines().len()), (200, true, 3));
    let last = "an error was encountered while running the model: unexpected EOF";
    assert_eq!(own.lines()[2]["error"], last, "the target's own words");
    assert!(cut.clean);
    let lines = cut.lines();
    assert!(lines.last().unwrap()["error"].is_string());
    assert!(lines.iter().all(|line| line["done"] != true));
    let errors = lines.iter().filter(|line| !line["error"].is_null());
    assert_eq!(errors.count(), 1);
}

#[tokio::test]
async fn trap_14_an_end_without_done_is_a_failure() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;

    let reply = foreman
        .post("/api/chat", &chat_stream(A, "stub:nodone stub:tokens=2"))
        .await;

    assert!(reply.lines().last().unwrap()["error"].is_string());
    assert_eq!(figure(&foreman, FAILED).await, Some(1.0));
}

#[tokio::test]
async fn trap_15_events_without_their_last_one_are_a_failure() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let prompt = "stub:error-mid stub:tokens=5";
    let messages = json!([{"role": "user", "content": prompt}]);
    let body = json!({"model": A, "stream": true, "max_tokens": 9, "messages": messages, "prompt": prompt, "input": prompt});
    let paths = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/messages",
        "/v1/responses",
    ];
    for path in paths {
        let reply = foreman.post(path, &body).await;

        let text = reply.text();
        let last = text.trim_end().rsplit("data: ").next().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert!(
            last["type"] == "error" || last["error"].is_object(),
            "{path}: {last}"
        );
        assert!(reply.clean && text.ends_with("\n\n"), "{path}");
    }
    assert_eq!(figure(&foreman, FAILED).await, Some(4.0));
}

#[tokio::test]
async fn trap_16_only_what_nobody_has_seen_is_done_again() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    stub.inject(FaultRule::once(Fault::ResetBeforeHead).on_path("/api/chat"));
    let unseen = foreman.post("/api/chat", &chat_stream(A, "unseen")).await;
    assert!(unseen.lines().last().unwrap()["done"] == true);
    assert_eq!(stub.record().on("/api/chat").count(), 2);

    stub.inject(FaultRule::once(Fault::ResetAfter(1)).on_path("/api/generate"));
    let gate = stub.hold(Hold::after_chunks(1));
    let body = json!({"model": A, "prompt": "seen by its caller"});
    let mut seen = Exchange::post(foreman.url(), "/api/generate", &body).await;
    seen.chunk().await.unwrap();
    gate.release();
    assert!(seen.reply().await.text().contains("error"));
    let generated = stub.record();
    let generated = generated.on("/api/generate");
    assert_eq!(
        generated
            .filter(|it| it.body_text().contains("seen by"))
            .count(),
        1
    );

    for path in ["/api/pull", "/api/push", "/api/create", "/api/copy"] {
        stub.inject(FaultRule::always(Fault::ResetBeforeHead).on_path(path));
        let reply = foreman
            .post(path, &json!({"model": A, "source": A, "destination": "b"}))
            .await;
        assert_eq!(reply.status(), 502, "{path}");
        assert_eq!(stub.record().on(path).count(), 1, "{path}");
    }
}

#[tokio::test]
async fn trap_17_signs_of_life_are_spaces_or_comments_and_never_lines() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let beat = [("X-Foreman-Heartbeat", "1s")];
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": A, "stream": true, "max_tokens": 9, "messages": messages});
    let mut native = Exchange::post_with(foreman.url(), "/api/chat", &beat, &body).await;
    let mut events = Exchange::post_with(foreman.url(), "/v1/messages", &beat, &body).await;

    assert_eq!(native.chunk().await.unwrap(), b" ");
    let comment = String::from_utf8(events.chunk().await.unwrap()).unwrap();
    assert!(
        comment.starts_with(':') && comment.ends_with("\n\n"),
        "{comment:?}"
    );
    gate.release();

    let native = native.reply().await;
    assert!(native.text().trim_start_matches(' ').starts_with('{'));
    assert!(native.lines().last().unwrap()["done"] == true);
    let events = events.reply().await.text();
    assert!(events.contains("event: message_stop"), "{events}");
}

#[tokio::test]
async fn trap_18_what_can_be_refused_is_refused_before_a_sign_of_life() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;
    let beat = [("X-Foreman-Heartbeat", "1s")];
    for (body, status) in [
        (chat_stream("nope", "x"), 404),
        (json!({"model": A, "keep_alive": "5"}), 400),
        (
            json!({"model": A, "options": {"num_ctx": "x"}, "messages": [{"role": "user", "content": "x"}]}),
            500,
        ),
    ] {
        let mut exchange = Exchange::post_with(foreman.url(), "/api/chat", &beat, &body).await;
        assert_eq!(exchange.head().await.status, status, "{body}");
    }
    gate.release();
    assert_eq!(running.reply().await.status(), 200);
}

#[tokio::test]
async fn trap_44_the_target_may_serve_itself_while_foreman_has_it() {
    let Pair { stub, foreman } = Pair::start(stub().parallel(2), foreman()).await;
    let gate = stub.hold(Hold::before_first_token().on_path("/v1/messages"));
    let body =
        json!({"model": A, "max_tokens": 9, "messages": [{"role": "user", "content": "search"}]});
    let searching = Exchange::post(foreman.url(), "/v1/messages", &body).await;
    gate.reached().await;

    let nested = post(
        &stub.url(),
        "/api/chat",
        chat(A, "nested").to_string().as_bytes(),
    )
    .await;

    assert_eq!(nested.status(), 200);
    gate.release();
    assert_eq!(searching.reply().await.status(), 200);
}
