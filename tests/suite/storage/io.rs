//! The disk fails to flush or to read, or another program holds the database.

use foreman_stub::{End, Hold};
use foreman_tests::{Books, Exchange, Pair, chat, eventually, stub};
use rstest::rstest;
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::json;

use super::{code, ended, job, on_disk, submit};
use crate::{A, content, foreman};

const KEY: (&str, &str) = ("Idempotency-Key", "k");

#[tokio::test]
async fn a_request_whose_flush_fails_is_said_to_be_unknown_and_makes_one_job() {
    let Some((disk, pair)) = on_disk().await else {
        return;
    };
    let Pair { stub, mut foreman } = pair;
    let body = chat(A, "once");
    // It may have been claimed by the time its flush fails, and even be at the target.
    let gate = stub.hold(Hold::before_first_token());
    disk.set_unsynced(true);

    let told = Exchange::post_with(foreman.url(), "/api/chat", &[KEY], &body).await;
    let told = told.reply().await;
    let exit = foreman.exit().await;

    assert_eq!((told.status(), code(&told)), (503, "accept_unknown"));
    assert!(!exit.success());
    let log = foreman.log().lines();
    let failed = |line: &serde_json::Value| line["message"].as_str().unwrap().contains("failed");
    assert!(log.iter().any(failed), "{log:#?}");
    disk.set_unsynced(false);
    gate.release();
    let next = crate::foreman()
        .after(&foreman)
        .target(&stub.url())
        .start()
        .await;
    let again = Exchange::post_with(next.url(), "/api/chat", &[KEY], &body).await;
    assert_eq!(content(&again.reply().await.json()), "echo: once");
    let record = stub.record();
    let answered = record
        .on("/api/chat")
        .filter(|it| it.end == Some(End::Complete));
    assert_eq!(answered.count(), 1);
    assert_eq!(Books::read(&next.database()).rows.len(), 1);
}

#[tokio::test]
async fn nobody_is_told_of_an_end_whose_flush_failed() {
    let Some((disk, pair)) = on_disk().await else {
        return;
    };
    let Pair { stub, mut foreman } = pair;
    let gate = stub.hold(Hold::before_first_token());
    let waiting = Exchange::post_with(foreman.url(), "/api/chat", &[KEY], &chat(A, "hi")).await;
    gate.reached().await;
    // What is read is durable, so the acceptance is.
    foreman.get("/foreman/v1/jobs").await;

    disk.set_unsynced(true);
    gate.release();
    let told = waiting.reply().await;
    let exit = foreman.exit().await;

    assert_eq!((told.status(), code(&told)), (503, "outcome_unknown"));
    assert!(!exit.success());
    disk.set_unsynced(false);
    let next = crate::foreman()
        .after(&foreman)
        .target(&stub.url())
        .start()
        .await;
    let again = Exchange::post_with(next.url(), "/api/chat", &[KEY], &chat(A, "hi")).await;
    assert_eq!(content(&again.reply().await.json()), "echo: hi");
    let queue = &next.health().await["queue"];
    assert_eq!(
        (&queue["queued"], &queue["running"]),
        (&json!(0), &json!(null))
    );
}

#[tokio::test]
async fn a_job_whose_body_the_disk_does_not_give_back_fails_alone() {
    let Some((disk, pair)) = on_disk().await else {
        return;
    };
    let Pair {
        stub,
        foreman: mut first,
    } = pair;
    first.post("/foreman/v1/queue/pause", &json!({})).await;
    let marker = "lost".repeat(10_000);
    let lost = submit(&first, &chat(A, &marker)).await;
    let next = submit(&first, &chat(A, "next")).await;
    first.signal(Signal::TERM);
    assert!(first.exit().await.success());
    let bytes = std::fs::read(first.database()).unwrap();
    // Of the pages that hold nothing else.
    let page = bytes.chunks(4096).position(|page| {
        let text = &page[8..page.len() - 8];
        text.iter().all(|byte| b"lost".contains(byte))
    });
    let at = u64::try_from(page.unwrap() * 4096).unwrap();

    let second = foreman()
        .after(&first)
        .on(&disk)
        .target(&stub.url())
        .start()
        .await;
    disk.set_unread(at..at + 1);
    second.post("/foreman/v1/queue/resume", &json!({})).await;

    let lost = ended(&second, &lost).await;
    assert_eq!(lost["state"], "failed");
    assert_eq!(lost["error"]["code"], "storage_read", "{lost}");
    assert_eq!(ended(&second, &next).await["state"], "done");
    assert_eq!(second.health().await["status"], "ok");
    let warned = "the stored request of a job cannot be read";
    assert_eq!(second.log().having("message", warned).len(), 1);
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}

#[rstest]
#[case::gone("DELETE FROM job_requests WHERE seq = 2", 0)]
#[case::damaged_row("UPDATE jobs SET endpoint = '/api/other' WHERE seq = 2", 1)]
#[case::no_unicode("UPDATE jobs SET runner = CAST(x'ff' AS TEXT) WHERE seq = 2", 1)]
#[tokio::test]
async fn a_waiting_caller_whose_stored_request_is_gone_is_told_and_the_others_are_served(
    #[case] damage: &str,
    #[case] errors: usize,
) {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let first = Exchange::post(foreman.url(), "/api/chat", &chat(A, "first")).await;
    gate.reached().await;
    let mut waiting = Vec::new();
    // Too large to be in memory still.
    let lost = "lost".repeat(20_000);
    for (queued, prompt) in [&lost, "third"].into_iter().enumerate() {
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &chat(A, prompt)).await);
        eventually("the job in the queue", || async {
            foreman.health().await["queue"]["queued"] == queued + 1
        })
        .await;
    }
    let conn = Connection::open(foreman.database()).unwrap();
    conn.execute_batch(damage).unwrap();

    gate.release();

    assert_eq!(content(&first.reply().await.json()), "echo: first");
    let third = waiting.pop().unwrap().reply().await;
    assert_eq!(content(&third.json()), "echo: third");
    let lost = waiting.pop().unwrap().reply().await;
    assert_eq!((lost.status(), code(&lost)), (500, "storage_read"));
    let listed = foreman.get("/foreman/v1/jobs").await.json();
    let states: Vec<_> = listed["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["state"].clone())
        .collect();
    assert_eq!(states, ["done", "failed", "done"]);
    assert_eq!(foreman.log().having("level", "ERROR").len(), errors);
    assert_eq!(stub.record().on("/api/chat").count(), 2);
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_waited_for_and_then_said_to_be_busy() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let id = submit(&foreman, &chat(A, "before")).await;
    ended(&foreman, &id).await;
    let other = Connection::open(foreman.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let told = foreman.post("/api/chat", &chat(A, "meanwhile")).await;

    assert_eq!((told.status(), code(&told)), (503, "storage_busy"));
    assert!(told.head.header("retry-after").is_some());
    assert_eq!(job(&foreman, &id).await["state"], "done");
    other.execute_batch("ROLLBACK").unwrap();
    let after = foreman.post("/api/chat", &chat(A, "after")).await;
    assert_eq!(content(&after.json()), "echo: after");
    assert_eq!(foreman.health().await["status"], "ok");
}

#[tokio::test]
async fn a_reader_that_does_not_end_makes_the_log_grow_and_is_warned_of_once() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    foreman.post("/foreman/v1/queue/pause", &json!({})).await;
    let reader = Connection::open(foreman.database()).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM jobs")
        .unwrap();

    let large = chat(A, &"x".repeat(4 * 1024 * 1024));
    for _ in 0..17 {
        submit(&foreman, &large).await;
    }

    let warned = |lines: &[serde_json::Value]| {
        let says = |line: &&serde_json::Value| line.to_string().contains("write-ahead log grows");
        lines.iter().filter(says).count()
    };
    foreman
        .log()
        .until("a warning", |lines| warned(lines) > 0)
        .await;
    submit(&foreman, &chat(A, "still taken")).await;
    assert_eq!(warned(&foreman.log().lines()), 1);
    let metrics = foreman.get("/metrics").await.text();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("foreman_store_wal_bytes "));
    let bytes: u64 = line.unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    assert!(bytes > 64 * 1024 * 1024, "{bytes}");
}
