//! What comes back, chunk by chunk.

use bytes::Bytes;
use foreman_ollama::{ErrorKind, OllamaClient, TargetRequest};
use http::{Method, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use rstest::rstest;
use tokio::sync::mpsc;

use crate::server::{Server, get, post};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn chunks_are_handed_out_as_they_were_sent() {
    // All in one segment: what is separate stays separate.
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        2\r\na\n\r\n4\r\nb\nc\n\r\n1\r\n\n\r\n0\r\n\r\n";
    let server = Server::once(answer).await;
    let client = server.client();
    let mut body = client.forward(post(&client)).await.unwrap().body;

    let mut chunks = Vec::new();
    while let Some(chunk) = body.chunk().await {
        chunks.push(chunk.unwrap());
    }

    assert_eq!(chunks, ["a\n", "b\nc\n", "\n"].map(Bytes::from));
}

#[tokio::test]
async fn a_chunk_is_there_before_the_next_is_sent() {
    let (go, gate) = mpsc::channel::<()>(1);
    let gate = std::sync::Mutex::new(Some(gate));
    let server = Server::start(move |_, mut peer| {
        let gate = gate.lock().ok().and_then(|mut gate| gate.take());
        async move {
            peer.request().await;
            peer.send(format!("{CHUNKED}1\r\na\r\n")).await;
            gate.expect("one connection").recv().await;
            peer.send("1\r\nb\r\n0\r\n\r\n").await;
        }
    })
    .await;
    let client = server.client();
    let mut body = client.forward(post(&client)).await.unwrap().body;

    let first = body.chunk().await.unwrap().unwrap();
    go.send(()).await.unwrap();
    let second = body.chunk().await.unwrap().unwrap();

    assert_eq!((first, second), ("a".into(), "b".into()));
    assert!(body.chunk().await.is_none());
    assert!(body.chunk().await.is_none());
}

#[tokio::test]
async fn hop_by_hop_headers_stay_behind() {
    let answer = "HTTP/1.1 404 Not Found\r\nconnection: close, x-hop\r\nx-hop: 1\r\n\
        keep-alive: timeout=5\r\nx-end: 2\r\ncontent-type: text/plain\r\ncontent-length: 1\r\n\r\nx";
    let server = Server::once(answer).await;
    let client = server.client();

    let response = client.forward(get(&client)).await.unwrap();

    let mut names: Vec<_> = response
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert_eq!(names, ["content-length", "content-type", "x-end"]);
}

#[tokio::test]
async fn a_known_length_is_known_to_the_reader() {
    let server = Server::once("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
    let client = server.client();

    let body = client.forward(get(&client)).await.unwrap().body;

    assert_eq!(body.size_hint().exact(), Some(3));
    assert_eq!(BodyExt::collect(body).await.unwrap().to_bytes(), "abc");
}

#[rstest]
#[case(
    Method::HEAD,
    "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n",
    Some("17")
)]
#[case(Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", None)]
#[case(Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Some("0"))]
#[tokio::test]
async fn an_answer_without_body_has_none(
    #[case] method: Method,
    #[case] answer: &'static str,
    #[case] length: Option<&str>,
) {
    let server = Server::always(answer).await;
    let client = server.client();

    for _ in 0..2 {
        let mut request = get(&client);
        request.method = method.clone();
        let response = client.forward(request).await.unwrap();

        let given = response.headers.get("content-length");
        assert_eq!(given.map(|length| length.to_str().unwrap()), length);
        assert!(response.body.is_end_stream());
    }
    assert_eq!(
        server.connections(),
        1,
        "an empty answer frees its connection"
    );
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let server = Server::once("HTTP/1.0 200 OK\r\n\r\n{\"a\":1}\n{}\n").await;
    let client = server.client();

    let response = client.forward(get(&client)).await.unwrap();

    assert_eq!(response.body.collect(99).await.unwrap(), "{\"a\":1}\n{}\n");
}

#[tokio::test]
async fn interim_heads_are_not_the_answer() {
    let answer = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n\
        HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
    let server = Server::once(answer).await;
    let client = server.client();

    let response = client.forward(post(&client)).await.unwrap();

    assert_eq!(response.status, StatusCode::CREATED);
}

#[tokio::test]
async fn trailers_are_dropped() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-a\r\n\r\n\
        1\r\na\r\n0\r\nx-a: 1\r\n\r\n";
    let server = Server::once(answer).await;
    let client = server.client();

    let body = client.forward(get(&client)).await.unwrap().body;

    let collected = BodyExt::collect(body).await.unwrap();
    assert!(collected.trailers().is_none());
    assert_eq!(collected.to_bytes(), "a");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused() {
    let server = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
    let client = server.client();
    let body = async || client.forward(get(&client)).await.unwrap().body;

    assert_eq!(body().await.collect(3).await.unwrap(), "abc");
    let error = body().await.collect(2).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn any_status_is_an_answer() {
    let server = Server::once("HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\nno").await;
    let client = server.client();

    let answer = client.tags().await.unwrap();

    assert_eq!((answer.status.as_u16(), answer.body), (500, "no".into()));
}

#[tokio::test]
async fn a_list_of_loaded_models_must_be_one() {
    let server = Server::always("HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\n{}").await;
    let error = server.client().ps().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);

    let server = Server::always("HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\n[]").await;
    let error = server.client().ps().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn a_path_that_is_no_path_is_not_sent() {
    let server = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = server.client();

    let request = TargetRequest::get("/a b\r\nx: y", client.deadlines());

    assert!(client.forward(request).await.is_err());
    assert_eq!(server.connections(), 0);
}
