//! Limits towards callers that nobody knows.

use std::time::Duration;

use foreman_job::Priority;
use foreman_server::{Rate, ServerConfig, TokenEntry};
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
    let front = front(ServerConfig::default()).await;
    let many = "X-One-More: 1\r\n".repeat(101);
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
async fn bodies_that_are_read_at_once_are_bounded_together() {
    let front = front(ServerConfig {
        body_memory: 200_000,
        ..ServerConfig::default()
    })
    .await;
    let large = chat(&"x".repeat(150_000));
    let mut slow = front.caller().await;
    let head = format!(
        "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        large.len()
    );
    let (most, rest) = large.split_at(140_000);
    slow.send_raw(format!("{head}{most}").as_bytes()).await;

    let mut refused = front.post("/api/chat", &large).await;
    while refused.status == 200 {
        // The first one's bytes were not all read yet.
        refused = front.post("/api/chat", &large).await;
    }
    let small = front.post("/api/chat", &chat("small")).await;
    slow.send_raw(rest.as_bytes()).await;

    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.header("x-foreman-error-code"),
        Some("too_many_bodies")
    );
    assert_eq!((small.status, slow.reply().await.status), (200, 200));
    let mut after = front.post("/api/chat", &large).await;
    while after.status == 503 {
        after = front.post("/api/chat", &large).await;
    }
    assert_eq!(after.status, 200);
}

#[tokio::test]
async fn a_caller_may_follow_so_many_jobs_at_once_and_no_more() {
    let front = front(ServerConfig {
        max_watching: 2,
        ..ServerConfig::default()
    })
    .await;
    let gate = front.stub.hold(Hold::before_first_token());
    let body = format!(r#"{{"endpoint":"/api/chat","request":{}}}"#, chat("one"));
    let made = front.post("/foreman/v1/jobs", &body).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let job = format!("/foreman/v1/jobs/{id}");
    gate.reached().await;
    let mut events = front.caller().await;
    events.send("GET /foreman/v1/events", "").await;
    assert_eq!(events.head().await.0, 200);
    let mut follower = front.caller().await;
    let follow = format!("GET {job}/stream?follow=true");
    follower.send(&follow, "").await;
    assert_eq!(follower.head().await.0, 200);

    let mut refused = Vec::new();
    for path in [
        "/foreman/v1/events".to_owned(),
        format!("{job}/stream"),
        format!("{job}?wait=1h"),
        format!("{job}/output?wait=1h"),
    ] {
        refused.push(front.get(&path).await.status);
    }
    let looked = front.get(&job).await;
    drop(events);

    assert_eq!(refused, [429, 429, 429, 429]);
    assert_eq!(looked.status, 200);
    let waiting = format!("{job}?wait=1ms");
    while front.get(&waiting).await.status == 429 {}
    gate.release();
}

#[tokio::test]
async fn a_callers_requests_are_bounded_in_a_time_and_those_of_others_are_not() {
    let hour = Duration::from_hours(1);
    let ann = TokenEntry::new("ann", "token-of-ann", Priority::High);
    let front = front(ServerConfig {
        tokens: vec![
            ann.with_rate(Some(Rate {
                times: 4,
                per: hour,
            })),
            TokenEntry::new("bob", "token-of-bob", Priority::High),
        ],
        ..ServerConfig::default()
    })
    .await;
    let ask = async |path: &str, name: &str| {
        let head = format!("GET {path}\nAuthorization: Bearer token-of-{name}");
        front.ask(&head, "").await
    };
    let job = format!(r#"{{"endpoint":"/api/chat","request":{}}}"#, chat("one"));
    let batch = "POST /foreman/v1/jobs\nAuthorization: Bearer token-of-ann";

    let first = ask("/api/version", "ann").await.status;
    let many = front
        .ask(batch, &format!("[{job},{job},{job},{job}]"))
        .await;
    let refused = ask("/api/version", "ann").await;
    let own = ask("/foreman/v1/queue", "ann").await.status;
    let other = ask("/api/version", "bob").await.status;

    assert_eq!((first, many.status, own, other), (200, 202, 200, 200));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-foreman-error-code"), Some("rate_limited"));
    // Five of four times an hour were taken: two must be earned again.
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1_790..=1_800).contains(&wait), "{wait}");
}

#[tokio::test]
async fn so_many_jobs_may_be_submitted_at_once_and_no_more() {
    let front = front(ServerConfig {
        max_batch: 2,
        ..ServerConfig::default()
    })
    .await;
    let job = format!(r#"{{"endpoint":"/api/chat","request":{}}}"#, chat("one"));
    let lines = "POST /foreman/v1/jobs\nContent-Type: application/x-ndjson";

    let fits = front
        .post("/foreman/v1/jobs", &format!("[{job},{job}]"))
        .await;
    let array = front
        .post("/foreman/v1/jobs", &format!("[{job},{job},{job}]"))
        .await;
    let ndjson = front.ask(lines, &format!("{job}\n{job}\n{job}")).await;

    assert_eq!((fits.status, array.status, ndjson.status), (202, 413, 413));
    until(|| front.scheduler.store().counts().queued == 0).await;
    let listed = front.get("/foreman/v1/jobs").await.json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_connection_is_closed_after_a_body_without_announced_length() {
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
async fn names_that_are_made_up_do_not_fill_the_list_of_what_is_paused() {
    let front = front(ServerConfig::default()).await;
    let pause = async |name: &str| {
        let body = format!(r#"{{"model":"{name}"}}"#);
        front.post("/foreman/v1/queue/pause", &body).await.status
    };
    for number in 0..1000 {
        assert_eq!(pause(&format!("m{number}")).await, 200);
    }

    assert_eq!(pause("one-more").await, 400);
    assert_eq!(pause("m7").await, 200);
    assert_eq!(front.post("/foreman/v1/queue/pause", "").await.status, 200);
}

#[tokio::test]
async fn space_around_the_name_of_a_model_is_not_kept() {
    let front = front(ServerConfig::default()).await;
    let name = format!("llama3.2:1b{}", " ".repeat(100_000));
    let body = chat("hi").replace("llama3.2:1b", &format!("\\n{name}"));

    let reply = front.post("/api/chat", &body).await;
    let listed = front.get("/foreman/v1/jobs").await.json();

    assert_eq!(reply.status, 200);
    assert_eq!(listed["jobs"][0]["model"], "llama3.2:1b");
}
