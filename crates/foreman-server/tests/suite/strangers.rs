//! Limits towards callers that nobody knows: time, heads, connections.

use std::time::Duration;

use bytes::Bytes;
use foreman_server::ServerConfig;
use foreman_stub::{Hold, Stub};

use crate::harness::{Caller, Front, chat, until};

const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_hours(1);

async fn front(config: ServerConfig) -> Front {
    Front::start_with(config, Stub::builder()).await
}

/// Reads what comes until the server closes the connection.
async fn closed(mut caller: Caller) -> String {
    caller.remainder().await
}

#[tokio::test]
async fn a_connection_that_says_nothing_and_one_that_stops_in_its_head_are_closed() {
    let front = front(ServerConfig {
        header_timeout: SOON,
        keep_alive_timeout: LATE,
        ..ServerConfig::default()
    })
    .await;
    let silent = front.caller().await;
    let mut half = front.caller().await;
    half.send_raw(b"GET /healthz HTTP/1.1\r\nHost: local").await;

    assert_eq!(closed(silent).await, "");
    assert_eq!(closed(half).await, "");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for_for_ever() {
    let front = front(ServerConfig {
        header_timeout: SOON,
        keep_alive_timeout: LATE,
        ..ServerConfig::default()
    })
    .await;
    let mut caller = front.caller().await;
    caller.send("GET /healthz", "").await;
    assert_eq!(caller.reply().await.status, 200);

    // The second head of the connection: a byte, and then another one for as long as it lasts.
    let mut sent = 0_usize;
    while caller.offer(if sent == 0 { b"G" } else { b"x" }).await {
        sent += 1;
        tokio::task::yield_now().await;
    }

    assert!(sent > 1);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_heads_and_is_closed_in_the_end() {
    let front = front(ServerConfig {
        header_timeout: SOON,
        keep_alive_timeout: SOON * 6,
        ..ServerConfig::default()
    })
    .await;
    let mut watched = front.caller().await;
    watched.send("GET /healthz", "").await;
    watched.reply().await;
    // Its time for heads is over when that of this one is, which began later.
    assert_eq!(closed(front.caller().await).await, "");

    watched.send("GET /healthz", "").await;

    assert_eq!(watched.reply().await.status, 200);
    assert_eq!(closed(watched).await, "");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up_although_it_never_stops() {
    let front = front(ServerConfig {
        body_idle_timeout: SOON,
        ..ServerConfig::default()
    })
    .await;
    let mut caller = front.caller().await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{";
    caller.send_raw(head.as_bytes()).await;

    // A kilobyte a second is asked for; a byte for as long as it lasts is not that.
    let mut sent = 0_usize;
    while sent < 900 && caller.offer(b" ").await && !caller.has_news().await {
        sent += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    assert_eq!(caller.reply().await.status, 408);
    assert_eq!(front.stub.record().on("/api/chat").count(), 0);
}

#[tokio::test]
async fn a_body_must_be_there_within_a_time_however_fast_it_comes() {
    let front = front(ServerConfig {
        body_timeout: SOON,
        ..ServerConfig::default()
    })
    .await;
    let mut caller = front.caller().await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{";

    caller.send_raw(head.as_bytes()).await;

    assert_eq!(caller.reply().await.status, 408);
}

#[tokio::test]
async fn heads_are_bounded_in_size_and_number_and_addresses_in_length() {
    let front = front(ServerConfig {
        max_headers: 50,
        ..ServerConfig::default()
    })
    .await;
    let many = "X-One-More: 1\r\n".repeat(50);
    let huge = format!("X-Huge: {}\r\n", "x".repeat(300_000));
    let fits = format!("X-Large: {}\r\n", "x".repeat(30_000));
    let path = "x".repeat(70_000);

    for (path, headers, status) in [
        ("healthz", many.as_str(), 431),
        ("healthz", huge.as_str(), 431),
        ("healthz", fits.as_str(), 200),
        (path.as_str(), "", 414),
    ] {
        let mut caller = front.caller().await;
        let head = format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        // The answer may come before all of it is taken.
        caller.offer(head.as_bytes()).await;

        assert_eq!(caller.head().await.0, status, "{} bytes", head.len());
    }
}

#[tokio::test]
async fn when_all_connections_are_taken_foremans_own_pages_still_answer() {
    let front = front(ServerConfig {
        max_connections: 2,
        reserved_connections: 1,
        header_timeout: LATE,
        ..ServerConfig::default()
    })
    .await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut taken = [front.caller().await, front.caller().await];
    for caller in &mut taken {
        caller.send("POST /api/chat", &chat("hello")).await;
    }
    gate.reached().await;
    front.until_queued(1).await;

    for path in ["/healthz", "/readyz", "/metrics", "/foreman/v1/queue", "/"] {
        let reply = front.get(path).await;

        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("connection"), Some("close"));
    }
    let refused = front.post("/api/chat", &chat("refused")).await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.header("x-foreman-error-code"),
        Some("too_many_connections")
    );
    assert!(refused.header("retry-after").is_some());
    gate.release();
    for caller in &mut taken {
        assert_eq!(caller.reply().await.status, 200);
    }
    drop(taken);
    let mut again = front.post("/api/chat", &chat("again")).await;
    while again.status == 503 {
        // The server notices a moment later that they left.
        again = front.post("/api/chat", &chat("again")).await;
    }
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn a_stranger_that_takes_all_connections_and_asks_nothing_locks_nobody_out() {
    let front = front(ServerConfig {
        max_connections: 3,
        reserved_connections: 1,
        header_timeout: LATE,
        keep_alive_timeout: LATE,
        ..ServerConfig::default()
    })
    .await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut busy = front.caller().await;
    busy.send("POST /api/chat", &chat("busy")).await;
    gate.reached().await;
    let silent = front.caller().await;
    let mut half = front.caller().await;
    half.send_raw(b"GET /healthz HTTP/1.1\r\nHost: local").await;

    // Each comes when there is no place left, and that which asked for nothing longest goes.
    let mut third = front.caller().await;
    third.send("GET /api/version", "").await;
    let answered = third.reply().await;
    assert_eq!(
        (answered.status, answered.header("connection")),
        (200, None)
    );
    silent.gone().await;
    let mut fourth = front.caller().await;
    fourth.send("GET /api/version", "").await;
    assert_eq!(fourth.reply().await.status, 200);
    half.gone().await;
    let mut fifth = front.caller().await;
    fifth.send("GET /metrics", "").await;
    let metrics = fifth.reply().await.text();
    third.gone().await;
    gate.release();

    assert!(metrics.contains("foreman_http_connections_evicted_total 3\n"));
    assert_eq!(busy.reply().await.status, 200);
    fourth.send("GET /api/version", "").await;
    assert_eq!(fourth.reply().await.status, 200);
}

#[tokio::test]
async fn a_connection_is_closed_after_a_request_with_two_framings() {
    let front = front(ServerConfig::default()).await;
    let mut caller = front.caller().await;
    let smuggled = "GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let two = format!(
        "POST /api/show HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{smuggled}",
        12 + smuggled.len()
    );

    caller.send_raw(two.as_bytes()).await;
    let reply = caller.reply().await;

    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(closed(caller).await, "");
    assert_eq!(front.stub.record().on("/api/show").count(), 1);
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let front = front(ServerConfig::default()).await;
    for (head, status) in [
        ("GET /api/version HTTP/1.1\r\n\r\n", 400),
        (
            "GET /api/version HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
            400,
        ),
        (
            "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            400,
        ),
        ("GET /api/version HTTP/1.0\r\n\r\n", 200),
    ] {
        let mut caller = front.caller().await;
        caller.send_raw(head.as_bytes()).await;

        assert_eq!(caller.reply().await.status, status, "{head}");
    }
}

#[tokio::test]
async fn a_caller_that_closes_its_sending_half_counts_as_gone() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;
    let mut gone = front.caller().await;
    gone.send("POST /api/chat", &chat("gone")).await;
    front.until_queued(1).await;

    gone.close_half().await;

    front.until_queued(0).await;
    assert_eq!(closed(gone).await, "");
    gate.release();
    assert_eq!(running.reply().await.status, 200);
    assert_eq!(front.stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn two_chats_on_one_connection_are_answered_in_their_order() {
    let front = Front::start().await;
    let request = |text: &str| {
        let body = chat(text);
        let length = body.len();
        format!(
            "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let mut caller = front.caller().await;

    let both = format!("{}{}", request("one"), request("two"));
    caller.send_raw(both.as_bytes()).await;
    let (first, second) = (caller.reply().await, caller.reply().await);

    assert_eq!((first.status, second.status), (200, 200));
    assert!(first.text().contains("one") && second.text().contains("two"));
    let record = front.stub.record();
    let mut asked = record.on("/api/chat");
    for text in ["one", "two"] {
        assert!(asked.next().unwrap().body_text().contains(text));
    }
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded_together_and_the_slowest_reader_is_cut_off() {
    let front = front(ServerConfig {
        answer_memory: 30 * 1024 * 1024,
        write_stall_timeout: LATE,
        ..ServerConfig::default()
    })
    .await;
    // Each has some 20 MB, more than the sockets can hold, and reads nothing of it but the head.
    let large = format!("{} ", "x".repeat(20_000)).repeat(1_000);
    let mut ids = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..2 {
        let mut reader = front.caller().await;
        reader.send("POST /api/chat", &chat(&large)).await;
        let (status, headers) = reader.head().await;
        assert_eq!(status, 200);
        let id = headers
            .into_iter()
            .find(|(name, _)| name == "x-foreman-job-id");
        ids.push(id.unwrap().1);
        readers.push(reader);
        let done = u64::try_from(ids.len()).unwrap();
        until(|| front.scheduler.store().counts().done == done).await;
    }

    // The next one begins, and is too much.
    let small = front.post("/api/chat", &chat("small")).await;
    assert_eq!(small.status, 200);
    let metrics = front.get("/metrics").await.text();
    assert!(
        metrics.contains("foreman_http_readers_cut_off_total 1\n"),
        "{metrics}"
    );

    readers.remove(0).gone().await;
    let mut other = readers.remove(0);
    for _ in 0..3 {
        assert!(other.chunk().await.contains(r#""done":false"#));
    }
    drop(other);
    // Nothing is lost: the answer is where it was kept.
    let kept = front
        .scheduler
        .store()
        .answer(ids[0].parse().unwrap())
        .await;
    let kept: usize = kept.unwrap().unwrap().chunks.iter().map(Bytes::len).sum();
    assert!(kept > 20_000_000, "{kept}");
}
