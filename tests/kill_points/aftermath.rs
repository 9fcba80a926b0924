//! What must be found after a death, and what must come of it.

use foreman_tests::{Books, Foreman, Row, eventually, within};
use serde_json::Value;

use crate::case::{ANSWER, Case, Form, Key, text};
use crate::death::{Corpse, Seen, resting};

/// What a point leaves of its job.
struct Expected {
    /// The states in which it may be found; none: there is no job.
    found: &'static [&'static str],
    /// What becomes of it.
    ends: &'static str,
    crashes: i64,
    attempt: i64,
    /// Claims in all its lives.
    epoch: i64,
}

const RUNNING: &[&str] = &["loading", "working"];

fn expected(case: &Case, books: &Books) -> Expected {
    let state = books.rows.first().map(|row| row.state.as_str());
    let (found, crashes, attempt, epoch): (&[&str], _, _, _) = match (case.step(), case.is_after())
    {
        ("after_read_body" | "migrate", _) | ("accept", false) => (&[], 0, 0, 1),
        // What is ready may be claimed before the one that made it ready knows of it.
        ("accept", true) if state == Some("loading") => (&["loading"], 1, 0, 2),
        ("promote", true) if state == Some("loading") => (&["loading"], 1, 1, 3),
        ("accept", true) | ("claim", false) => (&["queued"], 0, 0, 1),
        ("claim", true) | ("before_connect", _) | ("start" | "requeue", false) => {
            (&["loading"], 1, 0, 2)
        }
        ("start", true) => (&["working"], 1, 0, 2),
        ("settle", true) | ("prune", false) => (&["done"], 0, 0, 1),
        ("requeue", true) | ("promote", _) => (&["queued"], 0, 1, 2),
        ("recovery", _) if case.point == "in_recovery_3" => (&["queued"], 1, 0, 2),
        ("cancel", true) => (&["loading"], 1, 0, 1),
        ("prune", true) => (&[], 0, 0, 0),
        _ => (RUNNING, 1, 0, 2),
    };
    let ends = match case.point.as_str() {
        "after_cancel" => "cancelled",
        _ => "done",
    };
    Expected {
        found,
        ends,
        crashes,
        attempt,
        epoch,
    }
}

/// Checks what was left, and that the next life makes the best of it.
pub(crate) async fn is_right(case: &Case, corpse: Corpse) {
    let Corpse {
        stub,
        foreman,
        books,
        seen,
        asked,
    } = corpse;
    let expected = expected(case, &books);
    found_is_right(case, &expected, &books, &seen);
    if matches!(
        case.step(),
        "after_read_body" | "accept" | "claim" | "before_connect"
    ) {
        let was_claimed = usize::from(case.step() == "accept" && expected.epoch > 1);
        assert!(asked <= was_claimed, "{case}: {asked}");
    }
    if case.point == "after_requeue" {
        rest_is_kept(case, &foreman, &books).await;
    }
    let mut next = foreman.again().start().await;
    if case.step() == "prune" {
        eventually("an empty database", || async {
            let database = foreman.directory().join("foreman.db");
            Books::read(&database).rows.is_empty()
        })
        .await;
    } else if expected.ends == "done" {
        answer_is_right(case, &next, &books).await;
    }
    eventually("an empty queue", || async {
        let queue = &next.health().await["queue"];
        queue["queued"] == 0 && queue["running"].is_null()
    })
    .await;
    next.kill().await;
    let after = Books::of_dead(&foreman.directory().join("foreman.db"));
    assert_eq!(after.faults, Vec::<String>::new(), "{case}");
    if case.step() == "prune" {
        return;
    }
    let [job] = after.rows.as_slice() else {
        panic!("{case}: {:?}", after.rows);
    };
    ended_is_right(case, &expected, books.rows.first(), job);
    if matches!(case.point.as_str(), "after_settle" | "after_cancel") {
        assert_eq!(stub.record().on("/api/chat").count(), 1, "{case}");
    }
}

fn found_is_right(case: &Case, expected: &Expected, books: &Books, seen: &Seen) {
    assert_eq!(books.faults, Vec::<String>::new(), "{case}");
    let states: Vec<_> = books.rows.iter().map(|row| row.state.as_str()).collect();
    match states.as_slice() {
        [] => assert!(expected.found.is_empty(), "{case}: no job"),
        [state] => assert!(expected.found.contains(state), "{case}: {state}"),
        more => panic!("{case}: {more:?}"),
    }
    if case.step() != "prune" {
        assert_eq!(
            books.ever,
            i64::try_from(books.rows.len()).unwrap(),
            "{case}"
        );
    }
    // Who was told of a job finds it.
    if let Seen::Taken(id) = seen {
        assert!(books.job(id).is_some(), "{case}: {id}");
        assert!(case.is_async(), "{case}");
    }
    if matches!(seen, Seen::Begun(_)) {
        assert_eq!(case.form, Form::Stream, "{case}");
    }
    if case.point == "after_first_chunk" && case.form == Form::Stream {
        assert!(
            matches!(seen, Seen::Begun(text) if !text.is_empty()),
            "{case}"
        );
    }
    if case.point == "after_chunk" {
        assert!(books.rows[0].log_rows > 0, "{case}");
    }
    if case.step() == "cancel" {
        assert_eq!(books.rows[0].cancel_requested, case.is_after(), "{case}");
    }
}

/// A job in back-off neither waits anew nor is woken by a restart.
async fn rest_is_kept(case: &Case, foreman: &foreman_tests::Builder, books: &Books) {
    let until = books.rows[0].retry_at;
    assert!(until.is_some(), "{case}");
    let mut next = resting(foreman.again()).start().await;
    assert_eq!(next.health().await["queue"]["queued"], 1, "{case}");
    next.kill().await;
    let after = Books::of_dead(&foreman.directory().join("foreman.db"));
    assert_eq!(after.rows[0].retry_at, until, "{case}");
    assert_eq!(after.rows[0].epoch, 1, "{case}");
}

/// Gets the answer in the way that is left to the caller.
async fn answer_is_right(case: &Case, next: &Foreman, books: &Books) {
    let id = match (books.rows.first(), case.key) {
        (Some(job), Key::Without) => job.id.clone(),
        // Sent again, it finds its job, or makes the only one.
        (job, _) => {
            let reply = case.send(next).await.reply().await;
            let id = reply.head.header("x-foreman-job-id").unwrap().to_owned();
            assert!(job.is_none_or(|job| job.id == id), "{case}: another job");
            if !case.is_async() {
                assert_eq!(reply.status(), 200, "{case}: {}", reply.text());
                assert_eq!(text(&reply.text()), ANSWER, "{case}");
                if case.point == "after_settle" {
                    let replayed = reply.head.header("idempotent-replayed");
                    assert_eq!(replayed, Some("true"), "{case}");
                }
            }
            id
        }
    };
    let path = format!("/foreman/v1/jobs/{id}");
    let job = next.get(&format!("{path}?wait=1m")).await.json();
    assert_eq!(job["state"], "done", "{case}: {job}");
    let output = next.get(&format!("{path}/output")).await;
    assert_eq!(text(&output.text()), ANSWER, "{case}");
    let log = within("the log", next.get(&format!("{path}/stream"))).await;
    log_is_right(case, &log.lines());
}

/// The numbers have no gap, and after the last reset there is one whole answer.
fn log_is_right(case: &Case, events: &[Value]) {
    let mut body = String::new();
    for (event, n) in events.iter().zip(1_u64..) {
        assert_eq!(event["n"], n, "{case}: {event}");
        match event["type"].as_str().unwrap() {
            "chunk" => body.push_str(event["data"].as_str().unwrap()),
            "reset" => body.clear(),
            _ => {}
        }
    }
    assert_eq!(text(&body), ANSWER, "{case}");
    let ends = events.iter().filter(|event| event["type"] == "end");
    assert_eq!(ends.count(), 1, "{case}");
}

fn ended_is_right(case: &Case, expected: &Expected, before: Option<&Row>, job: &Row) {
    assert_eq!(job.state, expected.ends, "{case}");
    assert_eq!(job.crashes, expected.crashes, "{case}");
    assert_eq!(job.attempt, expected.attempt, "{case}");
    assert_eq!(job.epoch, expected.epoch, "{case}");
    let Some(before) = before else { return };
    assert_eq!(job.id, before.id, "{case}");
    if before.has_ended() {
        assert_eq!(job, before, "{case}");
    }
}
