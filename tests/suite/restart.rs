//! Foreman is killed and started again.

use std::collections::BTreeMap;

use foreman_stub::{End, Hold};
use foreman_tests::{Books, Exchange, Pair, chat, eventually, stub};
use serde_json::json;

use crate::{A, B, C, foreman};

#[tokio::test]
async fn a_queue_that_was_killed_in_the_middle_is_finished_in_order_by_the_next_life() {
    let Pair {
        stub,
        foreman: mut first,
    } = Pair::start(stub().max_loaded(1), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let mut waiting = Vec::new();
    for n in 0..30 {
        let model = [A, B, C][n % 3];
        let body = chat(model, &format!("number {n}."));
        waiting.push(Exchange::post(first.url(), "/api/chat", &body).await);
        // The order of acceptance is the order of the queue: one after the other.
        if n == 0 {
            gate.reached().await;
        }
        eventually("the job in the queue", || async {
            first.health().await["queue"]["queued"] == n
        })
        .await;
    }
    for _ in 0..5 {
        gate.release_one();
    }
    gate.reached_by(6).await;
    // The target may have it a moment before its claim is written.
    eventually("the claim of the sixth job", || async {
        first.health().await["queue"]["queued"] == 24
    })
    .await;

    first.kill().await;
    drop(waiting);
    gate.release();
    let second = foreman().after(&first).target(&stub.url()).start().await;
    second.until_idle().await;

    let record = stub.record();
    let mut order: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for request in record
        .on("/api/chat")
        .filter(|it| it.end == Some(End::Complete))
    {
        let text = request.body_text();
        let n = (0..30)
            .find(|n| text.contains(&format!("number {n}.")))
            .unwrap();
        order.entry([A, B, C][n % 3]).or_default().push(n);
    }
    for (model, numbers) in &order {
        assert!(numbers.is_sorted(), "{model}: {numbers:?}");
        assert_eq!(numbers.len(), 10, "{model}: {numbers:?}");
    }
    let recovered = second.log().having("message", "queue is recovered");
    assert_eq!(recovered[0]["recovered"], 1);
    assert_eq!(recovered[0]["queued"], 25);
    let rows = rusqlite::Connection::open(second.database()).unwrap();
    let done = "SELECT count(*) FROM jobs WHERE state = 'done' AND attempt = 0";
    assert_eq!(
        rows.query_row(done, [], |row| row.get::<_, i64>(0))
            .unwrap(),
        30
    );
}

#[tokio::test]
async fn twenty_restarts_in_a_row_lose_nothing_and_blame_nobody() {
    let stub = stub().start().await.unwrap();
    let stormy = foreman().target(&stub.url()).set("RETRY_MAX", "1h");
    let gate = stub.hold(Hold::before_first_token());
    let mut life = stormy.again().start().await;
    let jobs: Vec<_> = (0..1000)
        .map(|n| json!({"endpoint": "/api/chat", "request": chat(A, &format!("number {n}."))}))
        .collect();
    let reply = life.post("/foreman/v1/jobs", &jobs.into()).await;
    assert_eq!(reply.status(), 202);
    for restart in 1..=20 {
        gate.reached_by(restart).await;
        life.kill().await;
        life = stormy.again().start().await;
    }
    life.kill().await;
    gate.release();
    let stormy = Books::of_dead(&stormy.database());

    let calm = foreman().after(&life).target(&stub.url()).start().await;
    calm.until_idle().await;

    let books = Books::read(&calm.database());
    assert_eq!((stormy.faults, books.faults), (Vec::new(), Vec::new()));
    assert_eq!((books.rows.len(), books.ever), (1000, 1000));
    assert!(books.rows.iter().all(|row| row.state == "done"));
    assert!(books.rows.iter().all(|row| row.crashes <= 2));
    let crashes: i64 = books.rows.iter().map(|row| row.crashes).sum();
    assert!((20..=21).contains(&crashes), "{crashes}");
}

#[tokio::test]
async fn the_inventory_of_the_last_life_answers_while_the_target_is_away() {
    let Pair {
        stub,
        foreman: mut first,
    } = Pair::start(stub(), foreman()).await;
    let tags = first.get("/api/tags").await.text();
    eventually("a saved inventory", || async {
        let rows = rusqlite::Connection::open(first.database()).unwrap();
        let count = "SELECT count(*) FROM notes WHERE name = 'inventory'";
        rows.query_row(count, [], |row| row.get::<_, i64>(0))
            .unwrap()
            == 1
    })
    .await;
    first.kill().await;
    stub.stop_listening().await;

    let second = foreman().after(&first).target(&stub.url()).start().await;

    assert_eq!(second.get("/api/tags").await.text(), tags);
    assert_eq!(second.get("/api/version").await.status(), 200);
    assert_eq!(second.health().await["target"]["degraded"], true);
}

#[tokio::test]
async fn a_second_foreman_on_the_same_database_is_told_who_has_it() {
    let Pair {
        stub,
        foreman: first,
    } = Pair::start(stub(), foreman()).await;

    let second = foreman()
        .after(&first)
        .target(&stub.url())
        .command()
        .arg("serve")
        .output();
    let output = second.await.unwrap();

    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another foreman (pid "), "{text}");
    assert_eq!(
        first
            .post("/api/chat", &chat(A, "still here"))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn the_files_of_the_database_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    foreman.post("/api/chat", &chat(A, "hi")).await;

    for suffix in ["", "-wal", "-shm", ".lock"] {
        let path = format!("{}{suffix}", foreman.database().display());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}
