//! What the target gets to see.

use bytes::Bytes;
use foreman_ollama::{
    BoxError, Deadlines, ErrorKind, OllamaClient, Secret, TargetBody, TargetRequest,
};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use crate::server::{Server, post};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A server that answers well and hands over the requests that it got.
async fn recording() -> (Server, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Server::start(move |_, mut peer| {
        let sender = sender.clone();
        async move {
            while let Some(request) = peer.try_request().await {
                drop(sender.send(request));
                peer.send(OK).await;
            }
        }
    })
    .await;
    (server, receiver)
}

fn streamed(parts: Vec<Result<&'static str, BoxError>>, length: Option<u64>) -> TargetBody {
    let frames = parts
        .into_iter()
        .map(|part| part.map(|part| Frame::data(Bytes::from(part))));
    TargetBody::Stream {
        body: StreamBody::new(stream::iter(frames)).boxed(),
        length,
    }
}

fn upload(body: TargetBody) -> TargetRequest {
    TargetRequest {
        method: Method::POST,
        path_and_query: "/api/blobs/sha256:0".to_owned(),
        headers: HeaderMap::new(),
        body,
        deadlines: Deadlines::UNLIMITED,
    }
}

#[tokio::test]
async fn a_request_is_addressed_to_the_target_and_carries_its_token() {
    let (server, mut requests) = recording().await;
    let client = server.client_with(|config| {
        config.url.push_str("/prefix/");
        config.token = Some(Secret::new("hunter2"));
    });
    let mut request = TargetRequest::post("/api/chat?a=1", "{}".into(), client.deadlines());
    let headers = &mut request.headers;
    headers.insert("host", HeaderValue::from_static("foreman"));
    headers.insert("authorization", HeaderValue::from_static("Bearer caller"));
    headers.insert("user-agent", HeaderValue::from_static("curl"));
    headers.insert("connection", HeaderValue::from_static("x-hop"));
    headers.insert("x-hop", HeaderValue::from_static("1"));

    client.forward(request).await.unwrap();

    let seen = requests.recv().await.unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().map(str::to_ascii_lowercase).collect();
    lines.sort();
    assert!(head.starts_with("POST /prefix/api/chat?a=1 HTTP/1.1\r\n"));
    assert_eq!(
        lines,
        [
            "authorization: bearer hunter2",
            "content-length: 2",
            "content-type: application/json",
            format!("host: {}", server.address).as_str(),
            "post /prefix/api/chat?a=1 http/1.1",
            "user-agent: curl",
        ]
    );
    assert_eq!(body, "{}");
    assert!(!format!("{client:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_streamed_body_of_known_length_is_not_chunked() {
    let (server, mut requests) = recording().await;

    let body = streamed(vec![Ok("ab"), Ok("cd")], Some(4));
    server.client().forward(upload(body)).await.unwrap();

    let seen = requests.recv().await.unwrap().to_ascii_lowercase();
    assert!(seen.contains("content-length: 4\r\n") && seen.ends_with("\r\n\r\nabcd"));
    assert!(!seen.contains("transfer-encoding"));
}

#[tokio::test]
async fn a_streamed_body_of_unknown_length_is_chunked() {
    let (server, mut requests) = recording().await;

    let body = streamed(vec![Ok("ab"), Ok("cd")], None);
    server.client().forward(upload(body)).await.unwrap();

    let seen = requests.recv().await.unwrap().to_ascii_lowercase();
    assert!(seen.contains("transfer-encoding: chunked\r\n"));
    assert!(seen.ends_with("2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"));
    assert!(!seen.contains("content-length"));
}

#[tokio::test]
async fn a_request_without_body_says_so_only_where_one_is_usual() {
    let (server, mut requests) = recording().await;
    let client = server.client();

    for method in [Method::GET, Method::DELETE, Method::POST] {
        let mut request = upload(TargetBody::Empty);
        request.method = method;
        client.forward(request).await.unwrap();
    }

    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(requests.recv().await.unwrap().contains("content-length: 0"));
    }
    assert_eq!(seen, [false, false, true]);
}

#[tokio::test]
async fn a_delete_carries_its_body() {
    let (server, mut requests) = recording().await;
    let mut request = upload(TargetBody::Full(Bytes::from_static(b"{\"model\":\"a\"}")));
    request.method = Method::DELETE;

    server.client().forward(request).await.unwrap();

    let seen = requests.recv().await.unwrap();
    assert!(seen.starts_with("DELETE ") && seen.ends_with("{\"model\":\"a\"}"));
}

#[tokio::test]
async fn a_body_that_fails_at_its_source_is_nobodys_fault_but_its() {
    let server = Server::start(|_, mut peer| async move { peer.until_closed().await }).await;
    let client = server.client();
    let bodies = [
        streamed(vec![Ok("ab"), Err("gone".into())], None),
        streamed(vec![Ok("ab")], Some(4)),
        streamed(vec![Ok("abcdef")], Some(4)),
    ];

    for body in bodies {
        let error = client.forward(upload(body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBody);
    }
}

#[tokio::test]
async fn the_connection_is_never_half_closed() {
    let (peers, mut accepted) = mpsc::unbounded_channel();
    let server = Server::start(move |_, mut peer| {
        let peers = peers.clone();
        async move {
            peer.request().await;
            peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
                .await;
            drop(peers.send(peer));
        }
    })
    .await;
    let client = server.client();

    let mut body = client.forward(post(&client)).await.unwrap().body;
    body.chunk().await.unwrap().unwrap();

    // The client reads the answer: whatever it wanted to say after the request, it has said.
    let mut peer = accepted.recv().await.unwrap();
    assert!(peer.is_quiet());
    peer.send("0\r\n\r\n").await;
    assert!(body.chunk().await.is_none());
}

#[tokio::test]
async fn the_named_calls_go_to_their_routes() {
    let (server, mut requests) = recording().await;
    let client = server.client();

    client.chat("{}".into()).await.unwrap();
    client.embed("{}".into()).await.unwrap();
    client.embeddings("{}".into()).await.unwrap();
    assert_eq!(client.tags().await.unwrap().body, "{}");
    assert_eq!(client.version().await.unwrap().status, StatusCode::OK);
    client.v1_models().await.unwrap();
    assert_eq!(client.ps().await.unwrap(), []);

    let mut seen = Vec::new();
    for _ in 0..7 {
        let request = requests.recv().await.unwrap();
        seen.push(request.split(" HTTP").next().unwrap().to_owned());
    }
    assert_eq!(
        seen,
        [
            "POST /api/chat",
            "POST /api/embed",
            "POST /api/embeddings",
            "GET /api/tags",
            "GET /api/version",
            "GET /v1/models",
            "GET /api/ps",
        ]
    );
}
