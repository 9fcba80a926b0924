//! Every scripted fault, once, at the wire.

use std::{io::ErrorKind, time::Duration};

use foreman_stub::{End, Fault, FaultRule, Stub};
use pretty_assertions::assert_eq;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::client::{Answer, open, parse, post, request, rest, send, stub, until};

const CHAT: &str = r#"{"model":"fakeA","messages":[{"role":"user","content":"a b c"}]}"#;

/// Chats once with a fault; every answer would have five chunks.
async fn struck(stub: &Stub, fault: Fault) -> Answer {
    let handle = stub.inject(FaultRule::once(fault));
    let answer = post(stub, "/api/chat", CHAT).await;
    assert_eq!(handle.hits(), 1);
    answer
}

#[tokio::test]
async fn connections_are_cut_before_the_head() {
    let stub = stub().await;

    let reset = struck(&stub, Fault::ResetBeforeHead).await;
    assert_eq!(
        (reset.status, reset.error),
        (0, Some(ErrorKind::ConnectionReset))
    );
    let closed = struck(&stub, Fault::CloseBeforeHead).await;
    assert_eq!((closed.status, closed.error), (0, None));
    let after = post(&stub, "/api/chat", CHAT).await;
    assert_eq!((after.status, after.chunks.len()), (200, 5));
    let ends: Vec<_> = stub.record().requests.iter().map(|r| r.end).collect();
    assert_eq!(
        ends,
        [Some(End::Fault), Some(End::Fault), Some(End::Complete)]
    );
}

#[tokio::test]
async fn connections_are_cut_after_some_chunks() {
    let stub = stub().await;
    for count in [0, 2, 5] {
        let reset = struck(&stub, Fault::ResetAfter(count)).await;
        assert_eq!(
            (reset.status, reset.chunks.len(), reset.complete),
            (200, count, false)
        );
        assert_eq!(reset.error, Some(ErrorKind::ConnectionReset));
        let closed = struck(&stub, Fault::CloseAfter(count)).await;
        assert_eq!(
            (closed.chunks.len(), closed.complete, closed.error),
            (count, false, None)
        );
        let ended = struck(&stub, Fault::EndAfter(count)).await;
        assert_eq!(
            (ended.chunks.len(), ended.complete, ended.error),
            (count, true, None)
        );
    }
    assert_eq!(stub.counts().running_generations, 0, "no slot is lost");
}

#[tokio::test]
async fn stalled_answers_go_on_when_they_are_released() {
    let stub = stub().await;

    let handle = stub.inject(FaultRule::once(Fault::StallAfter(2)));
    let mut stream = open(&stub, &request("POST", "/api/chat", "", CHAT)).await;
    until(&mut stream, "\"a \"").await;
    assert_eq!(handle.hits(), 1);
    handle.release();
    let (more, _) = rest(&mut stream).await;
    assert!(String::from_utf8_lossy(&more).contains("\"done\":true"));

    let handle = stub.inject(FaultRule::once(Fault::StallBeforeHead));
    let mut stream = open(&stub, &request("POST", "/api/chat", "", CHAT)).await;
    handle.hit(1).await;
    assert_eq!(stub.record().requests.last().unwrap().status, None);
    handle.release();
    let (bytes, error) = rest(&mut stream).await;
    assert_eq!(parse(&bytes, error).chunks.len(), 5);
}

#[tokio::test]
async fn bodies_are_spoiled() {
    let stub = stub().await;

    let garbage = struck(&stub, Fault::GarbageAfter(1)).await;
    assert_eq!(
        (garbage.chunks.len(), garbage.chunks[1].as_str()),
        (6, "!! not json {\n")
    );
    let fault = Fault::ErrorLineAfter {
        chunks: 1,
        message: "no".to_owned(),
    };
    let error = struck(&stub, fault).await;
    assert_eq!((error.chunks.len(), error.complete), (2, true));
    assert_eq!(error.chunks[1], "{\"error\":\"no\"}\n");
    let fault = Fault::Trickle {
        bytes: 50,
        pause: Duration::from_millis(1),
    };
    let trickle = struck(&stub, fault).await;
    assert!(trickle.chunks.iter().all(|chunk| chunk.len() <= 50));
    assert!(trickle.body().ends_with('\n') && trickle.complete);
    let short = struck(&stub, Fault::ShortBody).await;
    assert_eq!(
        (short.header("Content-Length"), short.complete),
        (Some("1048576"), false)
    );
    assert_eq!(short.body().lines().count(), 5);
}

#[tokio::test]
async fn other_answers_take_the_place_of_the_real_one() {
    let stub = stub().await;

    let html = struck(&stub, Fault::Html).await;
    assert_eq!(
        (html.status, html.header("Content-Type")),
        (200, Some("text/html; charset=utf-8"))
    );
    for status in [408, 429, 500, 503] {
        let fault = Fault::Status {
            status,
            body: r#"{"error":"later"}"#.to_owned(),
            retry_after: Some("7".to_owned()),
        };
        let answer = struck(&stub, fault).await;
        assert_eq!(
            (answer.status, answer.header("Retry-After")),
            (status, Some("7"))
        );
        assert_eq!(answer.body(), r#"{"error":"later"}"#);
    }
}

#[tokio::test]
async fn loads_fail() {
    let stub = stub().await;

    let failed = struck(&stub, Fault::LoadFails("timed out".to_owned())).await;
    assert_eq!(
        (failed.status, failed.body().as_str()),
        (500, r#"{"error":"timed out"}"#)
    );
    let slow = struck(&stub, Fault::SlowLoad(Duration::from_millis(1))).await;
    assert_eq!(slow.status, 200);
    assert_eq!(stub.counts().aborted_loads, 1);
}

#[tokio::test]
async fn rules_pick_the_requests_that_are_struck() {
    let stub = stub().await;
    let rule = FaultRule::always(Fault::Html)
        .on_path("/api/chat")
        .for_model("fakeA")
        .after(1);
    stub.inject(rule.times(1));
    let other = CHAT.replace("fakeA", "fakeB");

    let mut kinds = Vec::new();
    for (path, body) in [
        ("/api/chat", CHAT),
        ("/api/chat", other.as_str()),
        ("/api/chat", CHAT),
        ("/api/chat", CHAT),
    ] {
        let answer = post(&stub, path, body).await;
        kinds.push(
            answer
                .header("Content-Type")
                .unwrap()
                .starts_with("text/html"),
        );
    }

    assert_eq!(kinds, [false, false, true, false]);
}

#[tokio::test]
async fn the_target_goes_away_and_comes_back_on_its_port() {
    let stub = stub().await;
    let gate = stub.hold(foreman_stub::Hold::after_chunks(1));
    let mut cut = open(&stub, &request("POST", "/api/chat", "", CHAT)).await;
    gate.reached().await;
    until(&mut cut, "echo").await;

    stub.stop_listening().await;
    let (bytes, error) = rest(&mut cut).await;
    assert!(
        !String::from_utf8_lossy(&bytes).contains("0\r\n\r\n"),
        "no terminator"
    );
    assert_eq!(error, None);
    let refused = TcpStream::connect(stub.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(gate);
    stub.resume_listening().await.unwrap();

    assert_eq!(send(&stub, "GET", "/api/version", "").await.status, 200);
    assert_eq!(stub.record().requests[0].end, Some(End::TargetDown));
    assert_eq!(stub.resident(), ["fakeA:latest"]);
}

#[tokio::test]
async fn a_request_takes_the_target_down() {
    let stub = stub().await;

    for fault in [Fault::DownAfter(2), Fault::DownBeforeHead] {
        let answer = struck(&stub, fault).await;
        assert!(!answer.complete);
        stub.stop_listening().await;
        assert!(TcpStream::connect(stub.address()).await.is_err());
        stub.resume_listening().await.unwrap();
    }

    assert_eq!(post(&stub, "/api/chat", CHAT).await.status, 200);
}

#[tokio::test]
async fn bytes_come_in_place_of_an_answer() {
    let stub = stub().await;
    let pieces = ["HTTP/1.0 200 OK\r\n", "X-Odd: 1\r\n\r\nto the", " end"];
    let pieces = pieces.map(|piece| bytes::Bytes::from_static(piece.as_bytes()));
    stub.inject(FaultRule::once(Fault::Raw(pieces.to_vec())).on_path("/api/tags"));

    let mut stream = TcpStream::connect(stub.address()).await.unwrap();
    let request = b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();

    assert_eq!(answer, "HTTP/1.0 200 OK\r\nX-Odd: 1\r\n\r\nto the end");
}
