//! Streams of jobs and of all changes through the real program, across cuts and kills.

use foreman_stub::{Fault, FaultRule, Hold};
use foreman_tests::{Exchange, Foreman, Pair, chat_stream, eventually, request, stub};
use serde_json::{Value, json};

use crate::{A, foreman};

const JOBS: &str = "/foreman/v1/jobs";

async fn submit(foreman: &Foreman, prompt: &str) -> String {
    let submission = json!({"endpoint": "/api/chat", "request": chat_stream(A, prompt)});
    let reply = foreman.post(JOBS, &submission).await;
    assert_eq!(reply.status(), 202, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

async fn ended(foreman: &Foreman, id: &str) -> Value {
    foreman.get(&format!("{JOBS}/{id}?wait=1m")).await.json()
}

/// A client of a job's stream that comes back where it was.
#[derive(Debug, Default)]
struct Client {
    last: u64,
    text: String,
    resets: usize,
    cuts: usize,
    chunks: usize,
    ended: bool,
}

impl Client {
    /// Reads some events, and leaves without a word.
    async fn read(&mut self, foreman: &Foreman, id: &str, events: usize) {
        let path = format!(
            "{JOBS}/{id}/stream?starting_after={}&follow=true",
            self.last
        );
        let mut exchange = Exchange::get(foreman.url(), &path).await;
        assert_eq!(exchange.head().await.status, 200);
        let mut left = events;
        let mut partial = Vec::new();
        while left > 0 && !self.ended {
            partial.extend(exchange.chunk().await.unwrap());
            while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = partial.drain(..=end).collect();
                if left > 0 {
                    self.take(&serde_json::from_slice(&line).unwrap());
                    left -= 1;
                }
            }
        }
        self.cuts += 1;
    }

    fn take(&mut self, event: &Value) {
        let n = event["n"].as_u64().unwrap();
        assert_eq!(n, self.last + 1, "{event}");
        self.last = n;
        match event["type"].as_str().unwrap() {
            "chunk" => {
                self.text.push_str(event["data"].as_str().unwrap());
                self.chunks += 1;
            }
            "reset" => {
                self.text.clear();
                self.chunks = 0;
                self.resets += 1;
            }
            "end" => self.ended = true,
            kind => assert_eq!(kind, "state"),
        }
    }
}

#[tokio::test]
async fn a_client_that_is_cut_off_again_and_again_misses_nothing_though_foreman_is_killed_twice() {
    let Pair {
        stub,
        foreman: mut first,
    } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::after_chunks(200));
    let id = submit(&first, "stub:tokens=500 tell me a story").await;
    let mut client = Client::default();

    while client.chunks < 190 {
        client.read(&first, &id, 25).await;
    }
    gate.reached().await;
    first.kill().await;
    let mut second = foreman().after(&first).target(&stub.url()).start().await;
    while client.resets == 0 || client.chunks < 190 {
        client.read(&second, &id, 25).await;
    }
    gate.reached_by(2).await;
    second.kill().await;
    gate.release();
    let third = foreman().after(&second).target(&stub.url()).start().await;
    while !client.ended {
        client.read(&third, &id, 25).await;
    }

    assert!(client.cuts >= 20, "{}", client.cuts);
    assert_eq!(client.resets, 2);
    let output = third.get(&format!("{JOBS}/{id}/output")).await;
    assert_eq!((client.chunks, output.chunks.len()), (501, 501));
    assert_eq!(client.text, output.text());
    let job = ended(&third, &id).await;
    assert_eq!(
        (&job["state"], &job["attempt"]),
        (&json!("done"), &json!(0))
    );
}

#[tokio::test]
async fn a_stream_tells_the_whole_life_of_a_job() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let id = submit(&foreman, "stub:tokens=3 hi").await;
    gate.reached().await;
    let path = format!("{JOBS}/{id}/stream");
    let following = Exchange::get(foreman.url(), &format!("{path}?follow=true")).await;
    gate.release();
    let followed = following.reply().await;
    ended(&foreman, &id).await;

    let read = foreman.get(&path).await;

    let kind = read.head.header("content-type");
    assert_eq!(kind, Some("application/x-ndjson"));
    assert!(read.clean && followed.clean);
    let told = |event: &Value| {
        let what = event["state"].as_str().unwrap_or_default();
        format!("{} {} {what}", event["n"], event["type"].as_str().unwrap())
    };
    let lines = read.lines();
    let events: Vec<String> = lines.iter().map(told).collect();
    assert_eq!(
        events,
        [
            "1 state queued",
            "2 state loading",
            "3 state working",
            "4 chunk ",
            "5 chunk ",
            "6 chunk ",
            "7 chunk ",
            "8 end done",
        ]
    );
    let followed: Vec<String> = followed.lines().iter().map(told).collect();
    assert_eq!(followed, events);
    let attempts: Vec<u64> = lines
        .iter()
        .map(|it| it["attempt"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts, [0, 1, 1, 1, 1, 1, 1, 1]);
    let text: String = lines.iter().filter_map(|it| it["data"].as_str()).collect();
    let output = foreman.get(&format!("{JOBS}/{id}/output")).await;
    assert_eq!(text, output.text());
    let tail = foreman
        .get(&format!("{path}?starting_after=6"))
        .await
        .lines();
    assert_eq!(tail.iter().map(told).collect::<Vec<_>>(), events[6..]);
    for after in [7, 8, 1000] {
        let past = format!("{path}?starting_after={after}&follow=true");
        let events = foreman.get(&past).await.lines();
        assert_eq!(events.iter().map(told).collect::<Vec<_>>(), events_end());
    }
}

fn events_end() -> [&'static str; 1] {
    ["8 end done"]
}

#[tokio::test]
async fn an_attempt_that_breaks_off_is_taken_back() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::after_chunks(3));
    stub.inject(FaultRule::once(Fault::ResetAfter(5)).on_path("/api/chat"));
    let id = submit(&foreman, "stub:tokens=8 hi").await;
    let mut client = Client::default();
    // Six events: queued, loading, working and three chunks are durable before the break.
    client.read(&foreman, &id, 6).await;
    gate.release();

    while !client.ended {
        client.read(&foreman, &id, usize::MAX).await;
    }

    assert_eq!((client.resets, client.chunks), (1, 9));
    let output = foreman.get(&format!("{JOBS}/{id}/output")).await;
    assert_eq!(client.text, output.text());
    assert_eq!(ended(&foreman, &id).await["attempt"], 1);
}

#[tokio::test]
async fn a_failure_is_told_at_the_end() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let id = submit(&foreman, "stub:error400 hi").await;
    let path = format!("{JOBS}/{id}/stream?follow=true");

    let events = foreman.get(&path).await.lines();

    let end = events.last().unwrap();
    assert_eq!(
        (&end["type"], &end["state"]),
        (&json!("end"), &json!("failed"))
    );
    assert_eq!(end["error"], ended(&foreman, &id).await["error"]);
    assert_eq!(end["error"]["source"], "target");
    assert_eq!(end["error"]["transient"], false);
}

#[tokio::test]
async fn the_stream_of_a_drop_in_request_can_be_followed_too() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::after_chunks(4));
    let prompt = chat_stream(A, "stub:tokens=8 hi");
    let mut caller = Exchange::post(foreman.url(), "/api/chat", &prompt).await;
    let head = caller.head().await;
    let id = head.header("x-foreman-job-id").unwrap();
    let mut client = Client::default();

    client.read(&foreman, id, 7).await;
    gate.release();
    while !client.ended {
        client.read(&foreman, id, 3).await;
    }

    assert_eq!(client.text, caller.reply().await.text());
}

#[tokio::test]
async fn a_log_whose_bodies_are_gone_says_so() {
    let settings = foreman().set("RETAIN_BODIES", "0s");
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), settings).await;
    let id = submit(&foreman, "hi").await;
    ended(&foreman, &id).await;

    for part in ["stream", "output", "request"] {
        eventually("the bodies to be gone", async || {
            foreman.get(&format!("{JOBS}/{id}/{part}")).await.status() == 410
        })
        .await;
    }
    assert_eq!(ended(&foreman, &id).await["state"], "done");
}

#[tokio::test]
async fn every_change_of_every_job_is_told_as_lines_and_as_events() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let mut lines = Exchange::get(foreman.url(), "/foreman/v1/events").await;
    let headers = [("Accept", "text/event-stream")];
    let bytes = request("GET", "/foreman/v1/events", &headers, b"");
    let mut events = Exchange::send_raw(foreman.url(), &bytes).await;
    assert_eq!(
        lines.head().await.header("content-type"),
        Some("application/x-ndjson")
    );
    assert_eq!(
        events.head().await.header("content-type"),
        Some("text/event-stream")
    );

    // The target waits until the answer was seen to begin.
    let gate = stub.hold(Hold::after_chunks(1));
    let id = submit(&foreman, "hi").await;

    let mut states = Vec::new();
    while states.last().map(String::as_str) != Some("done") {
        let line: Value = serde_json::from_slice(&lines.chunk().await.unwrap()).unwrap();
        assert_eq!(line["id"], id);
        assert!(line["at"].as_str().unwrap().ends_with('Z'));
        states.push(line["state"].as_str().unwrap().to_owned());
        if line["state"] == "working" {
            gate.release();
        }
        let event = String::from_utf8(events.chunk().await.unwrap()).unwrap();
        let data = event.strip_prefix("event: state\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data.trim()).unwrap();
        assert_eq!(data, line);
    }
    assert_eq!(states, ["queued", "loading", "working", "done"]);
}
