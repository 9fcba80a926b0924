//! Which connections are used again, and what happens when one has gone stale.

use bytes::Bytes;
use foreman_ollama::{BoxError, ErrorKind, HyperClient, OllamaClient, TargetBody};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use rstest::rstest;
use tokio::sync::mpsc;

use crate::server::{Server, get, post};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn exchange(client: &HyperClient) -> Result<Bytes, ErrorKind> {
    let response = client
        .forward(post(client))
        .await
        .map_err(|error| error.kind())?;
    response
        .body
        .collect(99)
        .await
        .map_err(|error| error.kind())
}

#[rstest]
#[case(OK)]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")]
#[tokio::test]
async fn a_connection_whose_answer_was_read_is_used_again(#[case] answer: &'static str) {
    let server = Server::always(answer).await;
    let client = server.client();

    for _ in 0..3 {
        assert_eq!(exchange(&client).await, Ok("ok".into()));
    }

    assert_eq!(server.connections(), 1);
}

#[rstest]
#[case("/api/pull")]
#[case("/api/delete")]
#[tokio::test]
async fn what_must_not_be_done_twice_gets_a_fresh_connection(#[case] path: &str) {
    let server = Server::always(OK).await;
    let client = server.client();
    exchange(&client).await.unwrap();
    let mut request = post(&client);
    path.clone_into(&mut request.path_and_query);

    client.forward(request).await.unwrap();

    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn clones_share_their_connections() {
    let server = Server::always(OK).await;
    let client = server.client();

    exchange(&client).await.unwrap();
    exchange(&client.clone()).await.unwrap();

    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn requests_at_the_same_time_have_a_connection_each() {
    let server = Server::always(OK).await;
    let client = server.client();

    let first = client.forward(get(&client)).await.unwrap();
    let second = client.forward(get(&client)).await.unwrap();
    drop((first.body.collect(9).await, second.body.collect(9).await));
    exchange(&client).await.unwrap();

    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_was_not_read_costs_its_connection() {
    let server = Server::always(OK).await;
    let client = server.client();

    drop(client.forward(get(&client)).await.unwrap());
    exchange(&client).await.unwrap();

    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_target_closes_is_not_used_again() {
    let server =
        Server::once("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    let client = server.client();

    for _ in 0..2 {
        assert_eq!(exchange(&client).await, Ok("ok".into()));
    }

    assert_eq!(server.connections(), 2);
}

/// Answers the first request of its first connection; then does this to the second one there.
async fn stale(end: Stale) -> Server {
    Server::start(move |number, mut peer| async move {
        peer.request().await;
        peer.send(OK).await;
        if number > 0 {
            peer.until_closed().await;
            return;
        }
        peer.request().await;
        match end {
            Stale::Closes => {}
            Stale::Resets => peer.reset(),
            Stale::HalfAHead => peer.send("HTTP/1.1 2").await,
        }
    })
    .await
}

#[derive(Debug, Clone, Copy)]
enum Stale {
    Closes,
    Resets,
    HalfAHead,
}

#[rstest]
#[case(Stale::Closes)]
#[case(Stale::Resets)]
#[tokio::test]
async fn a_stale_connection_is_replaced_unseen(#[case] end: Stale) {
    let server = stale(end).await;
    let client = server.client();

    for _ in 0..2 {
        assert_eq!(exchange(&client).await, Ok("ok".into()));
    }

    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_byte_of_an_answer_forbids_to_repeat_the_request() {
    let server = stale(Stale::HalfAHead).await;
    let client = server.client();
    exchange(&client).await.unwrap();

    let second = exchange(&client).await;

    assert_eq!(second, Err(ErrorKind::ClosedBeforeHead));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_is_repeated_only_once() {
    let server = Server::start(|number, mut peer| async move {
        peer.request().await;
        if number == 0 {
            peer.send(OK).await;
            peer.request().await;
        }
    })
    .await;
    let client = server.client();
    exchange(&client).await.unwrap();

    let second = exchange(&client).await;

    assert_eq!(second, Err(ErrorKind::ClosedBeforeHead));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_streamed_body_gets_a_fresh_connection() {
    let server = Server::always(OK).await;
    let client = server.client();
    exchange(&client).await.unwrap();
    let mut request = post(&client);
    let body = Full::new(Bytes::from_static(b"{}")).map_err(|never| match never {});
    request.body = TargetBody::Stream {
        body: body.boxed(),
        length: Some(2),
    };

    let response = client.forward(request).await.unwrap();

    assert_eq!(response.body.collect(9).await.unwrap(), "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_out_ends_the_upload() {
    let server = Server::start(|_, mut peer| async move {
        peer.request_head().await;
        peer.send(OK).await;
        peer.until_closed().await;
    })
    .await;
    let client = server.client();
    let (source, parts) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    let parts = stream::unfold(parts, async |mut parts| Some((parts.recv().await?, parts)));
    let mut request = post(&client);
    request.body = TargetBody::Stream {
        body: StreamBody::new(Box::pin(parts)).boxed(),
        length: Some(1000),
    };

    let response = client.forward(request).await.unwrap();

    assert_eq!(response.body.collect(9).await.unwrap(), "ok");
    source.closed().await;
}
