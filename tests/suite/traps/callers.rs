//! Traps in how callers wait, leave and introduce themselves.

use foreman_stub::{End, Hold};
use foreman_tests::{Exchange, Pair, chat, request, stub};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::queued;
use crate::{A, foreman};

#[tokio::test]
async fn trap_21_a_caller_that_waits_long_is_told_that_it_still_waits() {
    let settings = foreman().set("INTERIM", "100ms");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    let gate = stub.hold(Hold::before_first_token());
    let body = chat(A, "patience").to_string();
    let bytes = request("POST", "/api/chat", &[], body.as_bytes());
    let address = foreman.url().trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&bytes).await.unwrap();
    gate.reached().await;

    let interim = b"HTTP/1.1 102 Processing\r\n\r\n";
    for _ in 0..3 {
        let mut told = vec![0; interim.len()];
        foreman_tests::within("to be told", socket.read_exact(&mut told))
            .await
            .unwrap();
        assert_eq!(told, interim);
    }
    gate.release();
    let mut status = [0; 12];
    loop {
        socket.read_exact(&mut status).await.unwrap();
        if &status != b"HTTP/1.1 102" {
            break;
        }
        let mut rest = vec![0; interim.len() - status.len()];
        socket.read_exact(&mut rest).await.unwrap();
    }
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[tokio::test]
async fn trap_25_a_caller_that_closes_its_half_is_gone_and_foreman_never_does_so() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let body = chat(A, "half").to_string();
    let bytes = request("POST", "/api/chat", &[], body.as_bytes());
    let address = foreman.url().trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&bytes).await.unwrap();
    gate.reached().await;
    assert!(
        stub.record().on("/api/chat").all(|it| it.end.is_none()),
        "the target takes a half-closed connection for a closed one"
    );

    socket.shutdown().await.unwrap();

    let gone = |record: &foreman_stub::Record| {
        record
            .on("/api/chat")
            .all(|it| it.end == Some(End::ClientGone))
    };
    stub.wait_for("the job to be cancelled", gone)
        .await
        .unwrap();
    gate.release();
}

#[tokio::test]
async fn trap_26_a_load_that_others_wait_for_is_not_given_up() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::load());
    let leaving = Exchange::post(foreman.url(), "/api/chat", &chat(A, "leaving")).await;
    gate.reached().await;
    let staying = Exchange::post(foreman.url(), "/api/chat", &chat(A, "staying")).await;
    queued(&foreman, 1).await;

    drop(leaving);
    foreman
        .log()
        .until("the caller to be missed", |lines| {
            lines
                .iter()
                .any(|line| line["message"] == "cancel requested")
        })
        .await;
    gate.release();

    assert_eq!(staying.reply().await.status(), 200);
    assert_eq!((stub.counts().loads, stub.counts().aborted_loads), (1, 0));
}

#[tokio::test]
async fn trap_37_pages_are_judged_by_the_host_that_they_asked_for() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let body = chat(A, "hi").to_string();
    let ask = async |host: &str, origin: &str| {
        let text = format!(
            "POST /api/chat HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Exchange::send_raw(foreman.url(), text.as_bytes())
            .await
            .reply()
            .await
    };

    let same = ask("studio.local:8080", "http://studio.local:8080").await;
    let allowed = ask("studio.local:8080", "http://localhost:3000").await;
    let stranger = ask("studio.local:8080", "http://evil.example").await;

    let allow = |reply: &foreman_tests::Reply| {
        reply
            .head
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    assert_eq!((same.status(), allow(&same)), (200, None));
    assert_eq!(
        (allowed.status(), allow(&allowed).as_deref()),
        (200, Some("http://localhost:3000"))
    );
    assert_eq!((stranger.status(), stranger.text().as_str()), (403, ""));
    let record = stub.record();
    assert_eq!(record.on("/api/chat").count(), 2);
    assert!(
        record
            .on("/api/chat")
            .all(|it| it.header("origin").is_none())
    );
}

#[tokio::test]
async fn trap_38_the_target_is_asked_under_its_own_name() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let own = stub.url().trim_start_matches("http://").to_owned();
    for (path, body) in [
        ("/api/show", json!({"model": A})),
        ("/api/chat", chat(A, "hi")),
    ] {
        let body = body.to_string();
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: somewhere.internal\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let reply = Exchange::send_raw(foreman.url(), text.as_bytes())
            .await
            .reply()
            .await;

        assert_eq!(reply.status(), 200, "{path}");
        let record = stub.record();
        let seen = record.on(path).next().unwrap();
        assert_eq!(seen.header("host"), Some(own.as_str()), "{path}");
    }
}

#[tokio::test]
async fn trap_39_wrong_methods_and_paths_are_refused_as_gin_does() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    for (method, path, status, name, value) in [
        ("GET", "/api/chat", 405, "allow", Some("POST")),
        ("POST", "/", 405, "allow", Some("HEAD, GET")),
        ("HEAD", "/api/ps", 405, "allow", Some("GET")),
        ("GET", "/api/chat", 405, "content-type", Some("text/plain")),
        ("GET", "/nope", 404, "content-type", Some("text/plain")),
        ("GET", "/api/tags/", 301, "location", Some("/api/tags")),
        ("POST", "/api/chat/", 307, "location", Some("/api/chat")),
        ("GET", "//api/tags", 307, "location", Some("/api/tags")),
    ] {
        let bytes = request(method, path, &[], b"");
        let head = Exchange::send_raw(foreman.url(), &bytes).await.head().await;
        assert_eq!(head.status, status, "{method} {path}");
        assert_eq!(head.header(name), value, "{method} {path}");
    }
}

#[tokio::test]
async fn trap_53_unknown_tokens_are_let_in_unless_tokens_are_asked_for() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman().set("LOG", "trace")).await;
    let token = [("Authorization", "Bearer somebodys-key-of-53")];

    let reply = Exchange::post_with(foreman.url(), "/api/chat", &token, &chat(A, "hi")).await;

    assert_eq!(reply.reply().await.status(), 200);
    let record = stub.record();
    assert!(
        record
            .on("/api/chat")
            .all(|it| it.header("authorization").is_none())
    );
    let log = format!("{:?}", foreman.log().lines());
    assert!(!log.contains("somebodys-key-of-53"));
}

#[tokio::test]
async fn trap_54_the_target_learns_the_client_and_nothing_of_the_way() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let headers = [
        ("User-Agent", "GitHubCopilotChat/1.0"),
        ("X-Forwarded-Prefix", "/elsewhere"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("TE", "trailers"),
    ];

    let show =
        Exchange::post_with(foreman.url(), "/api/show", &headers, &json!({"model": A})).await;

    assert_eq!(
        show.reply().await.json()["model_info"]["general.basename"],
        A
    );
    let record = stub.record();
    let seen = record.on("/api/show").next().unwrap();
    assert_eq!(seen.header("user-agent"), Some("GitHubCopilotChat/1.0"));
    for name in ["x-forwarded-prefix", "x-forwarded-for", "x-hop", "te"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    let bytes = request(
        "GET",
        "/api/tags/",
        &[("X-Forwarded-Prefix", "/elsewhere")],
        b"",
    );
    let head = Exchange::send_raw(foreman.url(), &bytes).await.head().await;
    assert_eq!(head.header("location"), Some("/api/tags"));
}
