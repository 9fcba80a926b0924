//! Callers that leave: in line, all at once, during a load, and as their answer ends.

use foreman_stub::{End, Hold};
use foreman_tests::{Exchange, Foreman, Pair, chat, chat_stream, eventually, stub};

use super::{JOBS, end, wait_a_little};
use crate::{A, B, content, foreman};

async fn queued(foreman: &Foreman, jobs: usize) {
    eventually("the jobs that wait", || async {
        foreman.health().await["queue"]["queued"] == jobs
    })
    .await;
}

async fn ask(foreman: &Foreman, prompt: &str) -> Exchange {
    Exchange::post(foreman.url(), "/api/chat", &chat(A, prompt)).await
}

#[tokio::test]
async fn whoever_leaves_the_line_is_never_sent_and_the_others_move_up() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = ask(&foreman, "running").await;
    gate.reached().await;
    let mut line = Vec::new();
    for n in 0..5 {
        line.push(ask(&foreman, &format!("waits {n}")).await);
        queued(&foreman, n + 1).await;
    }

    // The first, the middle and the last one.
    drop([line.remove(4), line.remove(2), line.remove(0)]);
    queued(&foreman, 2).await;
    let list = foreman.get(&format!("{JOBS}?state=queued")).await.json();
    gate.release();

    let positions = list["jobs"].as_array().unwrap().iter();
    let positions: Vec<_> = positions.map(|job| job["position"].as_u64()).collect();
    assert_eq!(positions, [Some(2), Some(1)], "the newest first");
    assert_eq!(content(&running.reply().await.json()), "echo: running");
    for (exchange, n) in line.into_iter().zip([1, 3]) {
        let answer = exchange.reply().await.json();
        assert_eq!(content(&answer), format!("echo: waits {n}"));
    }
    assert_eq!(stub.record().on("/api/chat").count(), 3);
}

#[tokio::test]
async fn a_thousand_that_leave_at_once_are_cancelled_and_delay_nobody() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = ask(&foreman, "running").await;
    gate.reached().await;
    let mut leaving = Vec::new();
    for n in 0..1000 {
        leaving.push(ask(&foreman, &format!("leaving {n}")).await);
    }
    queued(&foreman, 1000).await;
    let staying = ask(&foreman, "staying").await;
    queued(&foreman, 1001).await;

    drop(leaving);
    queued(&foreman, 1).await;
    gate.release();

    assert_eq!(content(&running.reply().await.json()), "echo: running");
    assert_eq!(content(&staying.reply().await.json()), "echo: staying");
    assert_eq!(stub.record().on("/api/chat").count(), 2);
    assert_eq!(foreman.log().having("to", "cancelled").len(), 1000);
}

#[tokio::test]
async fn a_caller_that_leaves_during_a_load_that_nobody_waits_for_ends_the_load() {
    let Pair { stub, foreman } = Pair::start(stub().max_loaded(1), foreman()).await;
    let gate = stub.hold(Hold::load().for_model(A));
    let leaving = ask(&foreman, "leaving").await;
    gate.reached().await;

    drop(leaving);
    stub.wait_for("the target to see it", |record| {
        record
            .on("/api/chat")
            .any(|it| it.end == Some(End::ClientGone))
    })
    .await
    .unwrap();
    let next = foreman.post("/api/chat", &chat(B, "next")).await;

    assert_eq!(content(&next.json()), "echo: next");
    assert_eq!(foreman.log().having("to", "cancelled").len(), 1);
    gate.release();
}

#[tokio::test]
async fn a_caller_that_leaves_just_as_its_answer_ends_leaves_a_job_that_ended_once() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let mut ids = Vec::new();
    for n in 0..150 {
        let body = chat_stream(A, "stub:tokens=4 leaving");
        let mut exchange = Exchange::post(foreman.url(), "/api/chat", &body).await;
        let head = exchange.head().await;
        ids.push(head.header("x-foreman-job-id").unwrap().to_owned());
        // Before the end, while it is on its way, and with its last line in hand.
        for _ in 0..(n % 6) {
            exchange.chunk().await;
        }
        wait_a_little(n % 17).await;
        drop(exchange);
    }

    let next = foreman.post("/api/chat", &chat(A, "next")).await;
    queued(&foreman, 0).await;

    assert_eq!(content(&next.json()), "echo: next");
    let lines = foreman.log().lines();
    let mut ends = [0, 0];
    for id in &ids {
        let job = foreman.get(&format!("{JOBS}/{id}")).await.json();
        let end = end(&lines, id);
        assert_eq!(job["state"], end.as_str());
        let output = foreman.get(&format!("{JOBS}/{id}/output")).await;
        if end == "done" {
            ends[0] += 1;
            assert_eq!(output.lines().last().unwrap()["done"], true);
        } else {
            ends[1] += 1;
            assert_eq!((end.as_str(), output.status()), ("cancelled", 499));
        }
    }
    // Whoever has the last line has a job that is done.
    assert!(ends[0] >= 25, "{ends:?}");
    drop(stub);
}
