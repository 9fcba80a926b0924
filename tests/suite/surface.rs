//! What callers see of the routes: statuses, shapes, headers.

use foreman_tests::{Exchange, Pair, chat, request, stub};
use serde_json::{Value, json};

use crate::{A, foreman};

#[tokio::test]
async fn every_queued_route_answers_both_ways() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let routes = [
        ("/api/chat", json!({"model": A, "messages": messages})),
        ("/api/generate", json!({"model": A, "prompt": "hi"})),
        (
            "/v1/chat/completions",
            json!({"model": A, "messages": messages}),
        ),
        ("/v1/completions", json!({"model": A, "prompt": "hi"})),
        ("/v1/responses", json!({"model": A, "input": "hi"})),
        (
            "/v1/messages",
            json!({"model": A, "max_tokens": 9, "messages": messages}),
        ),
    ];
    for (path, mut body) in routes {
        for stream in [false, true] {
            body["stream"] = json!(stream);
            let direct = Exchange::post(&stub.url(), path, &body).await.reply().await;
            let through = foreman.post(path, &body).await;

            assert_eq!(through.status(), 200, "{path} {stream}: {}", through.text());
            assert!(through.text().contains("echo"), "{path} {stream}");
            assert!(through.clean, "{path} {stream}");
            assert!(through.head.header("x-foreman-job-id").is_some(), "{path}");
            assert_eq!(
                through.head.header("content-type"),
                direct.head.header("content-type"),
                "{path} {stream}"
            );
            assert_eq!(through.chunks.len(), direct.chunks.len(), "{path} {stream}");
        }
    }
}

#[tokio::test]
async fn errors_have_the_words_and_the_shape_of_their_api() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let requests: [(&str, &[u8]); 14] = [
        ("/api/chat", b""),
        ("/api/chat", b"{"),
        ("/api/chat", b"[]"),
        ("/api/chat", b"{}"),
        ("/api/chat", br#"{"model":"nope","messages":[]}"#),
        ("/api/chat", br#"{"model":"llama3.2:1b","messages":"x"}"#),
        ("/api/chat", br#"{"model":"llama3.2:1b","keep_alive":"5"}"#),
        ("/api/generate", br#"{"prompt":"x"}"#),
        ("/api/generate", br#"{"model":"nope","prompt":"x"}"#),
        ("/api/embed", br#"{"model":"nope","input":"x"}"#),
        ("/v1/chat/completions", b""),
        (
            "/v1/chat/completions",
            br#"{"model":"nope","messages":[{"role":"user","content":"x"}]}"#,
        ),
        (
            "/v1/chat/completions",
            br#"{"model":"llama3.2:1b","messages":[]}"#,
        ),
        (
            "/v1/messages",
            br#"{"model":"nope","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#,
        ),
    ];
    for (path, body) in requests {
        let bytes = request("POST", path, &[], body);
        let direct = Exchange::send_raw(&stub.url(), &bytes).await.reply().await;
        let through = Exchange::send_raw(foreman.url(), &bytes)
            .await
            .reply()
            .await;
        let what = format!("{path} {}", String::from_utf8_lossy(body));

        assert_eq!(through.status(), direct.status(), "{what}");
        assert_eq!(
            through.head.header("content-type"),
            direct.head.header("content-type"),
            "{what}"
        );
        let nameless = |reply: &foreman_tests::Reply| {
            let mut value = reply.json();
            if let Some(object) = value.as_object_mut() {
                object.remove("request_id");
            }
            value
        };
        assert_eq!(nameless(&through), nameless(&direct), "{what}");
    }
}

#[tokio::test]
async fn methods_and_paths_are_refused_as_ollama_refuses_them() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let requests = [
        ("GET", "/api/chat"),
        ("POST", "/api/ps"),
        ("POST", "/"),
        ("GET", "/nope"),
        ("GET", "/api/tags/"),
        ("GET", "//api/tags"),
        ("HEAD", "/"),
        ("HEAD", "/api/tags"),
        ("HEAD", "/api/version"),
        ("GET", "/"),
    ];
    for (method, path) in requests {
        let bytes = request(method, path, &[("Connection", "close")], b"");
        let heads = [stub.url(), foreman.url().to_owned()].map(|url| {
            let bytes = bytes.clone();
            async move { Exchange::send_raw(&url, &bytes).await.head().await }
        });
        let [direct, through] = heads;
        let (direct, through) = (direct.await, through.await);

        assert_eq!(through.status, direct.status, "{method} {path}");
        for name in ["allow", "content-type", "location"] {
            assert_eq!(
                through.header(name),
                direct.header(name),
                "{method} {path} {name}"
            );
        }
    }
}

#[tokio::test]
async fn tokens_name_their_callers_and_keep_strangers_out() {
    let settings = foreman().set("TOKENS", "alice=open-sesame-1");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;

    let stranger = foreman.post("/api/chat", &chat(A, "hi")).await;
    let headers = [("Authorization", "Bearer open-sesame-1")];
    let known = Exchange::post_with(foreman.url(), "/api/chat", &headers, &chat(A, "hi")).await;

    assert_eq!(stranger.status(), 401);
    assert_eq!(stranger.head.header("www-authenticate"), Some("Bearer"));
    assert_eq!(known.reply().await.status(), 200);
    assert_eq!(foreman.get("/healthz").await.status(), 200);
    assert_eq!(stub.record().on("/api/chat").count(), 1);
    assert_eq!(
        stub.record()
            .on("/api/chat")
            .next()
            .unwrap()
            .header("authorization"),
        None
    );
    let rows = rusqlite::Connection::open(foreman.database()).unwrap();
    let caller: String = rows
        .query_row("SELECT caller FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(caller, "alice");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman().set("MAX_BODY", "1KiB")).await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n";

    let reply = Exchange::send_raw(foreman.url(), head.as_bytes())
        .await
        .head()
        .await;

    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn health_readiness_and_metrics_tell_how_it_is() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    foreman.post("/api/chat", &chat(A, "hi")).await;

    let health: Value = foreman.health().await;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["target"]["reachable"], true);
    assert_eq!(health["target"]["degraded"], false);
    assert!(health["target"]["last_poll"].is_string());
    assert_eq!(foreman.get("/readyz").await.status(), 200);
    let metrics = foreman.get("/metrics").await.text();
    for line in [
        "foreman_jobs_settled_total{state=\"done\",model=\"llama3.2:1b\"} 1",
        "foreman_swaps_total 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    drop(stub);
}

#[tokio::test]
async fn no_prompt_no_answer_and_no_token_reaches_the_log() {
    let settings = foreman()
        .set("LOG", "trace")
        .set("TOKENS", "alice=token-of-alice")
        .set("OLLAMA_TOKEN", "token-of-target");
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), settings).await;
    let headers = [("Authorization", "Bearer token-of-alice")];
    for path in ["/api/chat", "/v1/chat/completions"] {
        let body = chat(A, "a-very-secret-prompt");
        Exchange::post_with(foreman.url(), path, &headers, &body)
            .await
            .reply()
            .await;
    }

    let log = format!("{:?}", foreman.log().lines());
    for secret in ["a-very-secret-prompt", "token-of-alice", "token-of-target"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_one_job_and_replays_its_answer() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let headers = [("Idempotency-Key", "k-1")];
    let send = async |body: &Value| {
        Exchange::post_with(foreman.url(), "/api/chat", &headers, body)
            .await
            .reply()
            .await
    };

    let first = send(&chat(A, "once")).await;
    let second = send(&chat(A, "once")).await;
    let other = send(&chat(A, "another")).await;

    assert_eq!(first.text(), second.text());
    assert_eq!(second.head.header("idempotent-replayed"), Some("true"));
    assert_eq!(other.status(), 422);
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}
