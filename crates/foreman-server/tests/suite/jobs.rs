//! Asynchronous jobs at the front: forms of bodies, bounds and methods.

use foreman_scheduler::SchedulerConfig;
use foreman_server::ServerConfig;
use foreman_stub::{Hold, Stub};
use serde_json::{Value, json};

use crate::harness::{Front, Start, chat};

const JOBS: &str = "/foreman/v1/jobs";

fn submission(text: &str) -> String {
    format!(r#"{{"endpoint":"/api/chat","request":{}}}"#, chat(text))
}

#[tokio::test]
async fn what_a_queue_cannot_take_of_a_batch_is_refused_item_by_item() {
    let scheduling = SchedulerConfig {
        max_queue: 2,
        ..SchedulerConfig::default()
    };
    let start = Start::Polled;
    let front = Front::start_all(ServerConfig::default(), Stub::builder(), scheduling, start).await;
    let gate = front.stub.hold(Hold::before_first_token());
    front.post(JOBS, &submission("running")).await;
    gate.reached().await;
    let items = ["a", "b", "c", "d"].map(submission).join(",");

    let results = front.post(JOBS, &format!("[{items}]")).await.json();
    let single = front.post(JOBS, &submission("e")).await;

    let codes: Vec<&str> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            it["state"]
                .as_str()
                .or_else(|| it["code"].as_str())
                .unwrap()
        })
        .collect();
    assert_eq!(codes, ["queued", "queued", "queue_full", "queue_full"]);
    assert!(results[2]["retry_after"].is_u64());
    assert_eq!(single.status, 503);
    assert!(single.header("retry-after").is_some());
    gate.release();
}

#[tokio::test]
async fn bodies_that_hold_nothing_to_submit_are_refused() {
    let front = Front::start().await;
    let lines = format!("POST {JOBS}\nContent-Type: application/x-ndjson");

    for (head, body) in [
        (format!("POST {JOBS}"), ""),
        (format!("POST {JOBS}"), "[]"),
        (format!("POST {JOBS}"), "[{]"),
        (lines.clone(), "\n \n"),
    ] {
        let refused = front.ask(&head, body).await;

        assert_eq!(refused.status, 400, "{body}");
        assert_eq!(refused.json()["code"], "bad_request");
    }
    let broken = front.ask(&lines, "{\"endpoint\":\n").await;
    assert_eq!(broken.json()["code"], "bad_request");
}

#[tokio::test]
async fn what_a_caller_wrote_over_several_lines_is_one_line_in_an_answer() {
    let front = Front::start().await;
    let request = chat("hi");
    let one = format!(
        "{{\"endpoint\": \"/api/chat\",\n \"request\": {request},\n \"metadata\": {{\n\"k\": 1.50\n}}}}"
    );
    let made = front.post(JOBS, &one).await;
    assert_eq!(made.status, 202);
    assert_eq!(made.json()["metadata"], json!({"k": 1.5}));
    assert!(!made.text().contains('\n'));
    assert!(made.text().contains("1.50"), "numbers stay as they were");
}

#[tokio::test]
async fn other_methods_are_not_allowed_and_heads_have_no_body() {
    let front = Front::start().await;
    let made = front.post(JOBS, &submission("hi")).await;
    let place = made.header("location").unwrap();

    let put = front.ask(&format!("PUT {place}"), "").await;
    let get = front.get(&format!("{place}/cancel")).await;
    let nothing = front.get(&format!("{place}/nothing")).await;
    let mut caller = front.caller().await;
    caller.send(&format!("HEAD {place}"), "").await;
    let (head, _) = caller.head().await;

    assert_eq!(
        (put.status, put.header("allow")),
        (405, Some("HEAD, GET, DELETE"))
    );
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!((nothing.status, head), (404, 200));
}

#[tokio::test]
async fn a_stream_waits_for_what_does_not_exist_yet_only_if_asked_to() {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let made = front.post(JOBS, &submission("hi")).await;
    let place = made.header("location").unwrap().to_owned();
    let mut follower = front.caller().await;
    let path = format!("GET {place}/stream?starting_after=4&follow=true");
    follower.send(&path, "").await;
    assert_eq!(follower.head().await.0, 200);

    let now = front.get(&format!("{place}/stream?starting_after=4")).await;
    gate.release();
    let first = follower.chunk().await;

    assert_eq!((now.status, now.text().as_str()), (200, ""));
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(first["n"], 5);
    for query in [
        "starting_after=x",
        "starting_after=-1",
        "follow=perhaps",
        "x=1",
    ] {
        let refused = front.get(&format!("{place}/stream?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
    }
}
