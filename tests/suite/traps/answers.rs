//! Traps in what callers get.

use foreman_stub::{Fault, FaultRule, Hold};
use foreman_tests::{Exchange, Pair, chat, chat_stream, request, stub};
use serde_json::{Value, json};

use super::queued;
use crate::{A, foreman};

#[tokio::test]
async fn trap_02_loads_and_unloads_are_one_object_though_a_stream_was_meant() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    for (path, body, reason) in [
        ("/api/chat", json!({"model": A}), "load"),
        ("/api/generate", json!({"model": A, "stream": true}), "load"),
        ("/api/chat", json!({"model": A, "keep_alive": 0}), "unload"),
        (
            "/api/generate",
            json!({"model": A, "keep_alive": "0s"}),
            "unload",
        ),
    ] {
        let reply = foreman.post(path, &body).await;
        let kind = reply.head.header("content-type");
        assert_eq!(kind, Some("application/json; charset=utf-8"), "{body}");
        assert_eq!(reply.json()["done_reason"], reason, "{body}");
        assert!(!reply.text().ends_with('\n'), "{body}");
    }
}

#[tokio::test]
async fn trap_05_answers_spell_the_model_as_the_caller_did_and_all_spellings_are_one() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let spellings = [
        "llama3.2:1b",
        "LLAMA3.2:1B",
        " llama3.2:1b ",
        "library/llama3.2:1b",
        "registry.ollama.ai/library/llama3.2:1b",
    ];
    for model in spellings {
        let answer = foreman.post("/api/chat", &chat(model, "hi")).await.json();
        assert_eq!(answer["model"], model);
    }

    assert_eq!(stub.record().loads.len(), 1);
    assert_eq!(
        super::figure(&foreman, "foreman_swaps_total ").await,
        Some(1.0)
    );
    let ps = foreman.get("/api/ps").await.json();
    assert_eq!(ps["models"][0]["name"], A);
}

#[tokio::test]
async fn trap_10_a_full_queue_says_so_in_ollamas_words() {
    let settings = foreman().set("MAX_QUEUE", "1");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;
    let waiting = Exchange::post(foreman.url(), "/api/chat", &chat(A, "waiting")).await;
    queued(&foreman, 1).await;

    let words = "server busy, please try again.  maximum pending requests exceeded";
    let body = json!({"model": A, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    for (path, message, kind) in [
        ("/api/chat", "/error", None),
        ("/v1/chat/completions", "/error/message", Some("api_error")),
        ("/v1/messages", "/error/message", Some("overloaded_error")),
    ] {
        let refused = foreman.post(path, &body).await;
        assert_eq!(refused.status(), 503, "{path}");
        assert!(refused.head.header("retry-after").is_some(), "{path}");
        let json: Value = refused.json();
        assert_eq!(json.pointer(message).unwrap(), words, "{path}");
        assert_eq!(
            json.pointer("/error/type").and_then(Value::as_str),
            kind,
            "{path}"
        );
    }
    gate.release();
    assert_eq!(running.reply().await.status(), 200);
    assert_eq!(waiting.reply().await.status(), 200);
}

#[tokio::test]
async fn trap_11_each_route_has_its_words_for_a_model_that_is_not_there() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let body = json!({"model": "Nope", "prompt": "x", "input": "x", "messages": [{"role": "user", "content": "x"}]});
    for (path, words) in [
        ("/api/chat", "model 'Nope' not found"),
        ("/api/generate", "model 'Nope' not found"),
        (
            "/api/embed",
            "model \"Nope\" not found, try pulling it first",
        ),
        (
            "/api/embeddings",
            "model \"Nope\" not found, try pulling it first",
        ),
        ("/api/show", "model 'Nope:latest' not found"),
    ] {
        let reply = foreman.post(path, &body).await;
        assert_eq!(reply.status(), 404, "{path}");
        assert_eq!(reply.json()["error"], words, "{path}");
    }
    let model = foreman.get("/v1/models/Nope").await.json();
    assert_eq!(model["error"]["message"], "model 'Nope:latest' not found");
}

#[tokio::test]
async fn trap_19_each_chunk_is_one_object_however_the_packets_fell() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let trickle = Fault::Trickle {
        bytes: 7,
        pause: std::time::Duration::ZERO,
    };
    stub.inject(FaultRule::once(trickle).on_path("/api/chat"));

    let reply = foreman
        .post("/api/chat", &chat_stream(A, "one two three"))
        .await;

    assert_eq!(reply.chunks.len(), 5);
    for chunk in &reply.chunks {
        assert!(serde_json::from_slice::<Value>(chunk).is_ok());
        assert_eq!(chunk.last(), Some(&b'\n'));
    }
}

#[tokio::test]
async fn trap_20_what_go_escapes_stays_escaped_and_nothing_else_is() {
    let stub = stub().answer("<b>&\u{2028}\u{85}\u{e9}");
    let Pair { stub, foreman } = Pair::start(stub, foreman()).await;

    let direct = Exchange::post(&stub.url(), "/api/chat", &chat(A, "hi"))
        .await
        .reply()
        .await;
    let through = foreman.post("/api/chat", &chat(A, "hi")).await;

    let said = "\"content\":\"\\u003cb\\u003e\\u0026\\u2028\u{85}\u{e9}\"";
    assert!(direct.text().contains(said), "{}", direct.text());
    assert!(through.text().contains(said), "{}", through.text());
}

#[tokio::test]
async fn trap_40_deleting_and_copying_are_answered_with_nothing() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let copy = foreman
        .post("/api/copy", &json!({"source": A, "destination": "b"}))
        .await;
    let delete = request("DELETE", "/api/delete", &[], br#"{"model":"b"}"#);
    let deleted = Exchange::send_raw(foreman.url(), &delete)
        .await
        .reply()
        .await;

    for reply in [copy, deleted] {
        assert_eq!((reply.status(), reply.text().as_str()), (200, ""));
        assert_eq!(reply.head.header("content-type"), None);
        assert_eq!(reply.head.header("content-length"), Some("0"));
    }
    let record = stub.record();
    assert_eq!(
        record.on("/api/delete").next().unwrap().body_text(),
        r#"{"model":"b"}"#
    );
}

#[tokio::test]
async fn trap_41_head_tells_the_length_that_get_would_have() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    for path in ["/", "/api/version", "/api/tags"] {
        let length = foreman.get(path).await.text().len().to_string();
        let head = request("HEAD", path, &[("Connection", "close")], b"");
        let mut exchange = Exchange::send_raw(foreman.url(), &head).await;

        assert_eq!(
            exchange.head().await.header("content-length"),
            Some(length.as_str()),
            "{path}"
        );
        assert_eq!(exchange.chunk().await, None, "{path}");
    }
}

#[tokio::test]
async fn trap_45_durations_are_the_targets_and_the_wait_has_a_header() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let first = Exchange::post(foreman.url(), "/api/chat", &chat(A, "first")).await;
    gate.reached().await;
    let second = Exchange::post(foreman.url(), "/api/chat", &chat(A, "second")).await;
    queued(&foreman, 1).await;
    gate.release();

    for exchange in [first, second] {
        let reply = exchange.reply().await;
        let waited = reply.head.header("x-foreman-queue-ms").unwrap();
        assert!(waited.parse::<u64>().is_ok(), "{waited}");
        for field in ["total_duration", "load_duration"] {
            assert!(reply.json()[field].as_u64().unwrap() > 0, "{field}");
        }
    }
}

#[tokio::test]
async fn trap_46_a_tool_call_in_the_last_line_arrives() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let body = json!({
        "model": A,
        "messages": [{"role": "user", "content": "stub:toolcall go"}],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}],
    });

    let lines = foreman.post("/api/chat", &body).await.lines();

    let last = lines.last().unwrap();
    assert_eq!(last["done"], true);
    assert_eq!(last["message"]["tool_calls"][0]["function"]["name"], "look");
    assert!(last["eval_count"].is_u64());
}

#[tokio::test]
async fn trap_47_a_line_of_megabytes_stays_one_line() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let long = "x".repeat(3_000_000);

    let reply = foreman
        .post("/api/generate", &json!({"model": A, "prompt": long}))
        .await;

    assert_eq!(reply.chunks.len(), 3);
    let line: Value = serde_json::from_slice(&reply.chunks[1]).unwrap();
    assert_eq!(line["response"].as_str().unwrap().len(), long.len());
    assert!(reply.clean);
}

#[tokio::test]
async fn trap_48_every_error_body_says_that_it_is_json() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    for (path, body, kind) in [
        (
            "/api/chat",
            chat("nope", "x"),
            "application/json; charset=utf-8",
        ),
        (
            "/v1/chat/completions",
            chat("nope", "x"),
            "application/json",
        ),
        (
            "/api/chat",
            chat_stream(A, "stub:error400"),
            "application/json",
        ),
        (
            "/api/chat",
            chat(A, "stub:error400"),
            "application/json; charset=utf-8",
        ),
        (
            "/v1/chat/completions",
            json!({"model": A, "messages": []}),
            "application/json; charset=utf-8",
        ),
    ] {
        let reply = foreman.post(path, &body).await;
        assert!(reply.status() >= 400, "{path} {body}");
        assert_eq!(
            reply.head.header("content-type"),
            Some(kind),
            "{path} {body}"
        );
        assert!(!reply.json()["error"].is_null(), "{path} {body}");
    }
}

#[tokio::test]
async fn trap_57_a_replayed_answer_is_the_same_to_the_byte() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let key = [("Idempotency-Key", "trap-57")];
    let body = chat_stream(A, "one two three");
    let ask = async || {
        Exchange::post_with(foreman.url(), "/api/chat", &key, &body)
            .await
            .reply()
            .await
    };

    let first = ask().await;
    let again = ask().await;

    assert_eq!(again.head.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.text(), first.text());
    let kind = |reply: &foreman_tests::Reply| reply.head.header("content-type").map(str::to_owned);
    assert_eq!(kind(&again), kind(&first));
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}
