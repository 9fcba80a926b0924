//! Everything that a network can do to an exchange.

use std::time::Duration;

use foreman_ollama::{ConfigError, ErrorKind, HyperClient, OllamaClient, Secret, TargetConfig};
use rstest::rstest;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::server::{NO_PATIENCE, PATIENCE, Server, get, post};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn client_of(url: String) -> HyperClient {
    let config = TargetConfig {
        url,
        connect_timeout: PATIENCE,
        ..TargetConfig::default()
    };
    HyperClient::new(config).expect("client")
}

async fn head_error(client: &HyperClient) -> ErrorKind {
    let sent = client.forward(post(client)).await;
    sent.expect_err("no head can come").kind()
}

async fn body_error(client: &HyperClient) -> ErrorKind {
    let mut body = client.forward(post(client)).await.expect("a head").body;
    loop {
        match body.chunk().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                assert!(body.chunk().await.is_none(), "an error is the end");
                return error.kind();
            }
            None => unreachable_end(),
        }
    }
}

#[expect(clippy::panic, reason = "fails the test that got here")]
fn unreachable_end() {
    panic!("the body came to a proper end");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let kind = head_error(&client_of(format!("http://{address}"))).await;

    assert_eq!(kind, ErrorKind::Refused);
}

#[tokio::test]
async fn nobody_listens_for_tls_either() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let kind = head_error(&client_of(format!("https://{address}"))).await;

    assert_eq!(kind, ErrorKind::Refused);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let kind = head_error(&client_of("http://no-such-host.invalid".to_owned())).await;

    assert_eq!(kind, ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_target_that_speaks_no_tls_fails_the_handshake() {
    let server = Server::start(|_, mut peer| async move {
        peer.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await;
        peer.until_closed().await;
    })
    .await;

    let kind = head_error(&client_of(format!("https://{}", server.address))).await;

    assert_eq!(kind, ErrorKind::Tls);
}

#[tokio::test]
async fn a_handshake_that_is_cut_off_is_one_that_failed() {
    let server = Server::start(|_, peer| async move { drop(peer) }).await;

    let kind = head_error(&client_of(format!("https://{}", server.address))).await;

    assert_eq!(kind, ErrorKind::Tls);
}

#[tokio::test]
async fn the_connect_timeout_covers_the_handshake() {
    let server = Server::start(|_, mut peer| async move { peer.until_closed().await }).await;
    let client = server.client_with(|config| {
        config.url = config.url.replace("http:", "https:");
        config.connect_timeout = Duration::from_millis(20);
    });

    assert_eq!(head_error(&client).await, ErrorKind::ConnectTimeout);
}

#[tokio::test]
async fn a_connection_closed_before_the_head_is_no_answer() {
    let closes = Server::once("").await;
    let half_a_head = Server::once("HTTP/1.1 200 OK\r\ncontent-").await;
    let resets = Server::start(|_, mut peer| async move {
        peer.request().await;
        peer.reset();
    })
    .await;

    for server in [closes, half_a_head, resets] {
        let kind = head_error(&server.client()).await;
        assert_eq!(kind, ErrorKind::ClosedBeforeHead);
        assert_eq!(
            server.connections(),
            1,
            "a fresh connection is not repeated"
        );
    }
}

#[tokio::test]
async fn what_is_not_http_is_not_valid() {
    let server = Server::once("SSH-2.0-OpenSSH\r\n\r\n").await;

    assert_eq!(
        head_error(&server.client()).await,
        ErrorKind::InvalidResponse
    );
}

#[rstest]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")]
#[case("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc")]
#[tokio::test]
async fn a_body_that_is_cut_off_is_truncated(#[case] answer: &'static str) {
    let server = Server::once(answer).await;

    assert_eq!(body_error(&server.client()).await, ErrorKind::Truncated);
}

#[tokio::test]
async fn a_reset_inside_a_body_truncates_it() {
    let (peers, mut accepted) = mpsc::channel(1);
    let server = Server::start(move |_, mut peer| {
        let peers = peers.clone();
        async move {
            peer.request().await;
            peer.send(format!("{CHUNKED}1\r\na\r\n")).await;
            drop(peers.send(peer).await);
        }
    })
    .await;
    let client = server.client();
    let mut body = client.forward(post(&client)).await.unwrap().body;
    body.chunk().await.unwrap().unwrap();

    accepted.recv().await.unwrap().reset();

    let error = body.chunk().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
}

#[tokio::test]
async fn broken_chunking_is_not_valid() {
    let server = Server::once("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n").await;

    assert_eq!(
        body_error(&server.client()).await,
        ErrorKind::InvalidResponse
    );
}

/// Sends this and then nothing more, for ever.
async fn stalls_after(answer: &'static str) -> Server {
    Server::start(move |_, mut peer| async move {
        peer.request().await;
        peer.send(answer).await;
        peer.until_closed().await;
    })
    .await
}

#[tokio::test]
async fn no_head_in_time_is_a_first_byte_timeout() {
    let server = stalls_after("").await;
    let client = server.client();
    let mut request = post(&client);
    request.deadlines = NO_PATIENCE;

    let error = client.forward(request).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::FirstByteTimeout);
    assert!(!error.is_connection_failure());
}

#[rstest]
#[case(
    "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
    ErrorKind::FirstByteTimeout
)]
#[case("HTTP/1.1 404 X\r\ncontent-length: 9\r\n\r\n", ErrorKind::IdleTimeout)]
#[case(
    "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
    ErrorKind::IdleTimeout
)]
#[tokio::test]
async fn a_body_that_stalls_times_out(#[case] answer: &'static str, #[case] kind: ErrorKind) {
    let server = stalls_after(answer).await;
    let client = server.client_with(|config| {
        config.first_byte_timeout = Duration::from_secs(1);
        config.idle_timeout = Duration::from_millis(20);
    });

    assert_eq!(body_error(&client).await, kind);
}

#[tokio::test]
async fn dropping_an_answer_closes_its_connection() {
    let (closed, mut seen) = mpsc::channel(1);
    let server = Server::start(move |_, mut peer| {
        let closed = closed.clone();
        async move {
            peer.request().await;
            peer.send(format!("{CHUNKED}1\r\na\r\n")).await;
            peer.until_closed().await;
            let _ = closed.send(()).await;
        }
    })
    .await;
    let client = server.client();

    let mut response = client.forward(post(&client)).await.unwrap();
    response.body.chunk().await.unwrap().unwrap();
    drop(response);

    assert!(seen.recv().await.is_some());
}

#[tokio::test]
async fn giving_up_before_the_head_closes_the_connection() {
    let (events, mut seen) = mpsc::channel(2);
    let server = Server::start(move |_, mut peer| {
        let events = events.clone();
        async move {
            peer.request().await;
            let _ = events.send("request").await;
            peer.until_closed().await;
            let _ = events.send("closed").await;
        }
    })
    .await;
    let client = server.client();

    tokio::select! {
        sent = client.forward(post(&client)) => assert!(sent.is_err(), "no answer can come"),
        event = seen.recv() => assert_eq!(event, Some("request")),
    }

    assert_eq!(seen.recv().await, Some("closed"));
}

#[tokio::test]
async fn a_timeout_closes_the_connection() {
    let (closed, mut seen) = mpsc::channel(1);
    let server = Server::start(move |_, mut peer| {
        let closed = closed.clone();
        async move {
            peer.request().await;
            peer.until_closed().await;
            let _ = closed.send(()).await;
        }
    })
    .await;
    let client = server.client();
    let mut request = get(&client);
    request.deadlines = NO_PATIENCE;

    client.forward(request).await.unwrap_err();

    assert!(seen.recv().await.is_some());
}

#[test]
fn settings_that_cannot_work_make_no_client() {
    let with = |url: &str, token: Option<&str>| {
        HyperClient::new(TargetConfig {
            url: url.to_owned(),
            token: token.map(Secret::new),
            ..TargetConfig::default()
        })
    };

    assert!(matches!(with("mac", None), Err(ConfigError::Url(_))));
    assert!(matches!(
        with("http://mac", Some("a\nb")),
        Err(ConfigError::Token)
    ));
    assert!(with("https://mac", Some("ab")).is_ok());
}
