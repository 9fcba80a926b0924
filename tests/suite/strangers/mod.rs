//! Hostile requests against the real program: what each is answered, and what is left of it.

mod attack;
mod bodies;
mod framing;
mod paths;
mod tokens;

use foreman_tests::{Exchange, Foreman, Pair, chat, request, stub};

use self::attack::{Attack, Outcome, table};
use crate::{A, content, foreman};

/// Who waits in the middle of its head, while all the others attack.
const CROWD: usize = 200;
/// What all attacks together may add to the memory of a debug build, at the worst moment.
const ROOM: u64 = 128 * 1024 * 1024;

/// What only the poller asks for.
const POLLED: [&str; 4] = ["/api/version", "/api/tags", "/v1/models", "/api/ps"];

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the table is what people run it for")]
async fn no_hostile_request_gets_in_or_brings_it_down() {
    let Pair { stub, foreman } = Pair::start(
        stub(),
        foreman().set("MAX_BODY", "8MiB").set("LOG", "debug"),
    )
    .await;
    let guarded = crate::foreman()
        .set("TOKENS", "ann=token-of-ann")
        .target(&stub.url())
        .start()
        .await;
    let before = [foreman.peak_memory(), guarded.peak_memory()];
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let half = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Le";
        crowd.push(Exchange::send_raw(foreman.url(), half).await);
    }

    let open: Vec<Attack> = [framing::attacks(), bodies::attacks(), paths::attacks()].concat();
    let mut outcomes = attacked(&foreman, open).await;
    outcomes.extend(attacked(&guarded, tokens::attacks()).await);

    let count = outcomes.len();
    println!("{}", table(&outcomes));
    outcomes.retain(|it| !it.is_expected());
    assert!(outcomes.is_empty(), "{}", table(&outcomes));
    assert!(count >= 60, "{count}");
    drop(crowd);

    // Alive, and within bounds.
    for (it, before) in [(&foreman, before[0]), (&guarded, before[1])] {
        let grown = it.peak_memory().saturating_sub(before);
        println!("peak of memory: {} MiB more", grown / 1024 / 1024);
        assert!(grown < ROOM, "{grown}");
        assert_eq!(it.get("/healthz").await.json()["status"], "ok");
    }
    // Nothing of it reached the target.
    for asked in &stub.record().requests {
        let is_poll = asked.method == "GET" && POLLED.contains(&asked.path.as_str());
        assert!(is_poll, "{} {}", asked.method, asked.path);
    }
    // Nor did anything become a job.
    let jobs = foreman.get("/foreman/v1/jobs").await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 0, "{jobs}");
    log_is_whole(&foreman);
    log_is_whole(&guarded);
    let metrics = foreman.get("/metrics").await.text();
    assert!(metrics.contains("foreman_http_panics_total 0\n"));
    assert!(metrics.lines().count() < 600);
    assert!(!metrics.contains("made-up") && !metrics.contains("INVENTED"));
    // And it still does its work.
    let reply = foreman.post("/api/chat", &chat(A, "hello")).await;
    assert_eq!(content(&reply.json()), "echo: hello");
}

async fn attacked(foreman: &Foreman, attacks: Vec<Attack>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for attack in attacks {
        outcomes.push(attack.run(foreman.url()).await);
    }
    outcomes
}

/// Each line is one that foreman wrote, and none is a stranger's, nor long.
fn log_is_whole(foreman: &Foreman) {
    for line in foreman.log().lines() {
        assert!(line["timestamp"].is_string(), "{line}");
        assert!(line["level"] != "ERROR", "{line}");
        let text = line.to_string();
        assert!(text.len() < 4096, "{} bytes", text.len());
        assert!(!text.contains("INVENTED"), "{text}");
    }
}

#[tokio::test]
async fn a_stranger_that_makes_up_names_leaves_nothing_behind() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let ask = async |number: usize| {
        let body = chat(&format!("made-up-{number}"), "hi").to_string();
        let key = format!("made-up-{number}");
        let headers = [("Idempotency-Key", key.as_str()), ("X-Api-Key", &key)];
        let bytes = request("POST", "/api/chat", &headers, body.as_bytes());
        Exchange::send_raw(foreman.url(), &bytes)
            .await
            .reply()
            .await
    };
    for number in 0..100 {
        assert_eq!(ask(number).await.status(), 404);
    }
    // Looking at the figures is counted, too.
    foreman.get("/metrics").await;
    let lines = foreman.get("/metrics").await.text().lines().count();
    let memory = foreman.memory();

    for number in 100..1_100 {
        assert_eq!(ask(number).await.status(), 404);
    }

    assert_eq!(foreman.get("/metrics").await.text().lines().count(), lines);
    let grown = foreman.memory().saturating_sub(memory);
    assert!(grown < 8 * 1024 * 1024, "{grown}");
    let jobs = foreman.get("/foreman/v1/jobs").await.json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 0);
}
