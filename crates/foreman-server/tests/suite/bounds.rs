//! Limits towards callers that nobody knows: how much, how many, how often.

use std::time::Duration;

use foreman_job::Priority;
use foreman_server::{Rate, ServerConfig, TokenEntry};
use foreman_stub::{Hold, Stub};

use crate::harness::{Front, chat, until};

async fn front(config: ServerConfig) -> Front {
    Front::start_with(config, Stub::builder()).await
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

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let body = chat("hello");
    let length = body.len();
    let front = front(ServerConfig {
        max_body: u64::try_from(length).unwrap(),
        ..ServerConfig::default()
    })
    .await;

    let fits = front.post("/api/chat", &body).await;
    let beyond = front.post("/api/chat", &format!("{body} ")).await;
    let mut chunked = front.caller().await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sent = format!("{head}{length:x}\r\n{body}\r\n0\r\n\r\n");
    chunked.send_raw(sent.as_bytes()).await;

    assert_eq!((fits.status, beyond.status), (200, 413));
    assert_eq!(chunked.reply().await.status, 200);
}
