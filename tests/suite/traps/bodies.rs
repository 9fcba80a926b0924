//! Traps in what callers send.

use foreman_stub::{Fault, FaultRule, Hold};
use foreman_tests::{Exchange, Pair, chat, request, stub};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::post;
use crate::{A, EMBEDDER, content, foreman};

#[tokio::test]
async fn trap_01_no_stream_means_a_stream_on_native_routes_only() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body =
        json!({"model": A, "messages": messages, "prompt": "hi", "max_tokens": 5, "input": "hi"});
    let null = json!({"model": A, "messages": messages, "prompt": "hi", "max_tokens": 5, "input": "hi", "stream": null});
    for body in [&body, &null] {
        for (path, kind) in [
            ("/api/chat", "application/x-ndjson"),
            ("/api/generate", "application/x-ndjson"),
            ("/api/pull", "application/x-ndjson"),
            ("/v1/chat/completions", "application/json"),
            ("/v1/completions", "application/json"),
            ("/v1/responses", "application/json"),
            ("/v1/messages", "application/json"),
        ] {
            let reply = foreman.post(path, body).await;
            assert_eq!(reply.head.header("content-type"), Some(kind), "{path}");
        }
    }
}

#[tokio::test]
async fn trap_03_keys_match_in_any_case_and_the_last_one_wins() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let body = br#"{"model":"nope","MODEL":"llama3.2:1b","Stream":true,"STREAM":false,"Messages":[{"Role":"USER","CONTENT":"hi"}]}"#;

    let reply = post(foreman.url(), "/api/chat", body).await;

    assert_eq!(reply.status(), 200);
    assert_eq!(content(&reply.json()), "echo: hi");
    assert_eq!(stub.record().loaded_models(), [A]);
}

#[tokio::test]
async fn trap_04_what_stands_around_the_object_does_not_matter() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let body = format!(" \n\t{}  garbage }}", chat(A, "hi"));
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let bytes = request(
            "POST",
            "/api/chat",
            &[("Content-Type", kind)],
            body.as_bytes(),
        );
        let reply = Exchange::send_raw(foreman.url(), &bytes)
            .await
            .reply()
            .await;
        assert_eq!(content(&reply.json()), "echo: hi", "{kind}");
    }

    let native = post(foreman.url(), "/api/chat", b"").await;
    let compatible = post(foreman.url(), "/v1/chat/completions", b"").await;
    assert_eq!(native.text(), r#"{"error":"missing request body"}"#);
    assert_eq!(compatible.json()["error"]["message"], "EOF");
    assert_eq!((native.status(), compatible.status()), (400, 400));
}

#[tokio::test]
async fn trap_12_an_empty_model_is_refused_by_each_route_in_its_way() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let body = json!({"model": "", "prompt": "x", "input": "x", "max_tokens": 1,
        "messages": [{"role": "user", "content": "x"}]});
    for (path, status) in [
        ("/api/chat", 400),
        ("/api/embeddings", 400),
        ("/api/show", 400),
        ("/v1/chat/completions", 400),
        ("/v1/messages", 400),
        ("/api/generate", 404),
        ("/api/embed", 404),
        ("/v1/completions", 404),
    ] {
        assert_eq!(foreman.post(path, &body).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn trap_24_bodies_in_chunks_reach_the_target_with_their_length() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    for (path, body) in [
        ("/api/chat", chat(A, "hi")),
        ("/api/embed", json!({"model": EMBEDDER, "input": "hi"})),
    ] {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let sent = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let reply = Exchange::send_raw(foreman.url(), sent.as_bytes())
            .await
            .reply()
            .await;

        assert_eq!(reply.status(), 200, "{path}");
        let record = stub.record();
        let seen = record.on(path).next().unwrap();
        assert!(seen.header("content-length").is_some(), "{path}");
        assert_eq!(seen.header("transfer-encoding"), None, "{path}");
    }
}

#[tokio::test]
async fn trap_34_keep_alives_are_read_as_go_reads_them() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let with = |keep: &str| {
        format!(
            r#"{{"model":"{A}","keep_alive":{keep},"stream":false,"messages":[{{"role":"user","content":"hi"}}]}}"#
        )
    };
    for (keep, text) in [
        (
            r#""5""#,
            r#"{"error":"time: missing unit in duration \"5\""}"#,
        ),
        (
            r#""-1""#,
            r#"{"error":"time: missing unit in duration \"-1\""}"#,
        ),
        (r#""""#, r#"{"error":"time: invalid duration \"\""}"#),
    ] {
        let reply = post(foreman.url(), "/api/chat", with(keep).as_bytes()).await;
        assert_eq!((reply.status(), reply.text().as_str()), (400, text));
    }
    assert_eq!(stub.record().on("/api/chat").count(), 0);

    let reply = post(foreman.url(), "/api/chat", with("-0.5").as_bytes()).await;

    assert_eq!(reply.status(), 200);
    foreman_tests::eventually("the model to stay for ever", || async {
        foreman
            .get("/api/ps")
            .await
            .text()
            .contains(r#""expires_at":"23"#)
    })
    .await;
}

/// A zstd frame of one raw block.
fn zstd(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let block = u32::from(length) << 3 | 1;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, length];
    frame.extend_from_slice(&block.to_le_bytes()[..3]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[tokio::test]
async fn trap_36_a_compressed_body_is_read_and_sent_on_as_it_came() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let path = "/v1/chat/completions";
    let encoded = [("Content-Encoding", "zstd")];
    let ask = async |url: &str, body: &[u8]| {
        let bytes = request("POST", path, &encoded, body);
        Exchange::send_raw(url, &bytes).await.reply().await
    };
    let known = zstd(&chat(A, "hi").to_string());
    let unknown = zstd(&chat("nope", "hi").to_string());

    assert_eq!(
        ask(foreman.url(), &unknown).await.status(),
        404,
        "the model is seen"
    );
    assert_eq!(stub.record().on(path).count(), 0);
    ask(foreman.url(), &known).await;
    let record = stub.record();
    let seen = record.on(path).next().unwrap();
    assert_eq!(seen.header("content-encoding"), Some("zstd"));
    assert_eq!(seen.body, foreman_stub::RecordedBody::Bytes(known.into()));

    let gzip = b"\x1f\x8b\x08\0\0\0\0\0";
    let direct = post(&stub.url(), path, gzip).await;
    let through = post(foreman.url(), path, gzip).await;
    assert_eq!((through.status(), through.text()), (400, direct.text()));
    assert!(
        through.text().contains(r"invalid character '\\x1f'"),
        "{}",
        through.text()
    );
}

#[tokio::test]
async fn trap_42_who_asks_whether_to_send_is_told_at_once() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let address = foreman.url().trim_start_matches("http://");
    for path in ["/api/chat", "/api/embed", "/api/show"] {
        let body = chat(A, "hi").to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        );
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut told = [0; 25];
        foreman_tests::within("to be told", socket.read_exact(&mut told))
            .await
            .unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n", "{path}");
        socket.write_all(body.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        socket.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200", "{path}");
    }
}

#[tokio::test]
async fn trap_43_progress_comes_line_by_line_and_its_failure_too() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let stalled = stub.inject(FaultRule::once(Fault::StallAfter(1)).on_path("/api/pull"));

    let mut pull = Exchange::post(foreman.url(), "/api/pull", &json!({"model": A})).await;
    let first = pull.chunk().await.unwrap();
    assert_eq!(first, b"{\"status\":\"pulling manifest\"}\n");
    stalled.release();
    let rest = pull.reply().await;
    assert!(rest.text().ends_with("{\"status\":\"success\"}\n"));

    let failed = foreman.post("/api/pull", &json!({"model": "nope"})).await;
    assert_eq!(failed.status(), 200);
    assert!(failed.lines().last().unwrap()["error"].is_string());
}

#[tokio::test]
async fn trap_52_a_call_with_many_inputs_delays_no_chat() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token().on_path("/api/embed"));
    let inputs: Vec<String> = (0..1_000).map(|n| format!("input {n}")).collect();
    let body = json!({"model": EMBEDDER, "input": inputs});
    let embedding = Exchange::post(foreman.url(), "/api/embed", &body).await;
    gate.reached().await;

    let answer = foreman.post("/api/chat", &chat(A, "meanwhile")).await;

    assert_eq!(content(&answer.json()), "echo: meanwhile");
    gate.release();
    let embeddings = embedding.reply().await.json();
    assert_eq!(embeddings["embeddings"].as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn trap_58_think_is_checked_by_the_native_routes_only() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = |model: &str| json!({"model": model, "stream": false, "messages": messages, "max_tokens": 9});
    let mut native = body(A);
    native["think"] = json!(true);
    let mut anthropic = body(A);
    anthropic["thinking"] = json!({"type": "enabled", "budget_tokens": 5});

    let refused = foreman.post("/api/chat", &native).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("does not support thinking"));
    assert_eq!(foreman.post("/v1/messages", &anthropic).await.status(), 200);
    let thinking = foreman.post("/api/chat", &body(crate::C)).await.json();
    assert!(thinking["message"]["thinking"].is_string(), "{thinking}");
}

#[tokio::test]
async fn trap_59_a_wrong_format_is_refused_before_it_costs_a_swap() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    foreman.post("/api/chat", &chat(A, "resident")).await;
    for format in ["\"xml\"", "[1]", "true", "7"] {
        let body = format!(
            r#"{{"model":"{}","format":{format},"messages":[{{"role":"user","content":"hi"}}]}}"#,
            crate::B
        );
        let reply = post(foreman.url(), "/api/chat", body.as_bytes()).await;
        assert_eq!(reply.status(), 500, "{format}");
        assert!(reply.text().contains("invalid format"), "{}", reply.text());
    }
    assert_eq!(stub.record().loaded_models(), [A]);
}
