//! What foreman hands through untouched.

use foreman_stub::RecordMode;
use foreman_tests::{Exchange, Pair, request, stub};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{A, EMBEDDER, foreman};

#[tokio::test]
async fn embeddings_come_as_the_target_gives_them() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let requests = [
        (
            "/api/embed",
            json!({"model": EMBEDDER, "input": ["a", "b"]}),
        ),
        ("/api/embeddings", json!({"model": EMBEDDER, "prompt": "a"})),
        ("/v1/embeddings", json!({"model": EMBEDDER, "input": "a"})),
    ];
    for (path, body) in requests {
        let direct = Exchange::post(&stub.url(), path, &body)
            .await
            .reply()
            .await
            .json();
        let through = foreman.post(path, &body).await;

        assert_eq!(through.status(), 200, "{path}");
        for field in ["embeddings", "embedding", "data"] {
            assert_eq!(through.json()[field], direct[field], "{path} {field}");
        }
    }
    let rows = rusqlite::Connection::open(foreman.database()).unwrap();
    let jobs: i64 = rows
        .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(jobs, 0, "embeddings are never queued");
}

#[tokio::test]
async fn management_routes_reach_the_target_and_refresh_the_inventory() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let copy = json!({"source": A, "destination": "copied"});

    let copied = foreman.post("/api/copy", &copy).await;
    let shown = foreman.post("/api/show", &json!({"model": "copied"})).await;
    let delete = request("DELETE", "/api/delete", &[], br#"{"model":"copied"}"#);
    foreman_tests::eventually("the copy in the list", || async {
        foreman
            .get("/api/tags")
            .await
            .text()
            .contains("copied:latest")
    })
    .await;
    let deleted = Exchange::send_raw(foreman.url(), &delete)
        .await
        .reply()
        .await;

    assert_eq!((copied.status(), copied.text().as_str()), (200, ""));
    assert_eq!(copied.head.header("content-type"), None);
    assert_eq!(shown.status(), 200);
    assert_eq!(deleted.status(), 200);
    foreman_tests::eventually("the copy to be gone", || async {
        !foreman
            .get("/api/tags")
            .await
            .text()
            .contains("copied:latest")
    })
    .await;
    let record = stub.record();
    let sent = record.on("/api/delete").next().unwrap();
    assert_eq!(sent.body_text(), r#"{"model":"copied"}"#);
}

#[tokio::test]
async fn progress_of_a_pull_comes_line_by_line() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;

    let reply = foreman.post("/api/pull", &json!({"model": A})).await;

    assert_eq!(reply.status(), 200);
    let lines = reply.lines();
    assert_eq!(lines[0]["status"], "pulling manifest");
    assert_eq!(lines.last().unwrap()["status"], "success");
    assert_eq!(reply.chunks.len(), lines.len());
}

#[tokio::test]
async fn what_only_concerns_the_connection_is_not_forwarded() {
    let Pair { stub, foreman } =
        Pair::start(stub(), foreman().set("OLLAMA_TOKEN", "outbound-token")).await;
    let headers = [
        ("Authorization", "Bearer callers-own"),
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
        ("User-Agent", "GitHubCopilotChat/1.0"),
        ("X-Foreman-Priority", "high"),
        ("Origin", "http://localhost:3000"),
    ];

    let show = json!({"model": A});
    Exchange::post_with(foreman.url(), "/api/show", &headers, &show)
        .await
        .reply()
        .await;
    let chat = foreman_tests::chat(A, "hi");
    Exchange::post_with(foreman.url(), "/api/chat", &headers, &chat)
        .await
        .reply()
        .await;

    let record = stub.record();
    for path in ["/api/show", "/api/chat"] {
        let seen = record.on(path).next().unwrap();
        assert_eq!(
            seen.header("authorization"),
            Some("Bearer outbound-token"),
            "{path}"
        );
        assert_eq!(
            seen.header("user-agent"),
            Some("GitHubCopilotChat/1.0"),
            "{path}"
        );
        assert!(seen.header("content-length").is_some(), "{path}");
        for name in ["x-hop", "origin", "x-foreman-priority", "transfer-encoding"] {
            assert_eq!(seen.header(name), None, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn a_gibibyte_goes_through_in_constant_memory() {
    const GIB: usize = 1 << 30;
    let stub = stub().recording(RecordMode::Counters);
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub, foreman()).await;
    let address = foreman.url().trim_start_matches("http://").to_owned();
    // The digest does not fit, so the target refuses the blob after it has read it whole.
    let path = format!("/api/blobs/sha256:{}", "0".repeat(64));
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {GIB}\r\n\r\n");
    foreman.get("/api/tags").await;
    let before = foreman.memory();

    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![0_u8; 1 << 20];
    let mut most = before;
    for n in 0..GIB / piece.len() {
        socket.write_all(&piece).await.unwrap();
        if n % 64 == 0 {
            most = most.max(foreman.memory());
        }
    }
    let mut answer = vec![0; 12];
    socket.read_exact(&mut answer).await.unwrap();

    assert_eq!(answer, b"HTTP/1.1 400");
    let grown = most.saturating_sub(before);
    assert!(grown < 20 << 20, "memory grew by {} MiB", grown >> 20);
}
