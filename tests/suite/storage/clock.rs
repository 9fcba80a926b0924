//! Somebody sets the machine's clock.

use foreman_stub::Hold;
use foreman_tests::{Exchange, Pair, chat, eventually};
use rstest::rstest;
use rustix::process::Signal;
use serde_json::json;

use super::{ended, on_disk, submit};
use crate::{A, B, JOBS, content, foreman};

const DAY: i64 = 24 * 60 * 60;

#[rstest]
#[case::forward(DAY)]
#[case::back(-DAY)]
#[tokio::test]
async fn a_wall_clock_that_is_set_loses_repeats_and_reorders_nothing(#[case] step: i64) {
    let Some((disk, pair)) = on_disk().await else {
        return;
    };
    let Pair { stub, foreman } = pair;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;
    let expiring = json!({
        "endpoint": "/api/chat",
        "request": chat(B, "expiring"),
        "expires_in": "1h",
    });
    let expiring = foreman.post(JOBS, &expiring).await.json();
    let mut ids = vec![expiring["id"].as_str().unwrap().to_owned()];
    for prompt in ["second", "third"] {
        ids.push(submit(&foreman, &chat(A, prompt)).await);
    }

    disk.set_wall_clock(step);
    // The clock is looked at: a job that is accepted now is the last in the queue all the same.
    ids.push(submit(&foreman, &chat(A, "fourth")).await);
    let age = &foreman.health().await["queue"]["oldest_age_seconds"];
    assert!(age.as_u64().unwrap() < 3600, "{age}");
    gate.release();

    assert_eq!(content(&running.reply().await.json()), "echo: running");
    for id in &ids {
        let job = ended(&foreman, id).await;
        assert_eq!(
            (&job["state"], &job["attempt"]),
            (&json!("done"), &json!(0)),
            "{job}"
        );
    }
    // The model that is resident is drained; an age of a day would have put the oldest first.
    let record = stub.record();
    let ran: Vec<&str> = record
        .on("/api/chat")
        .map(|it| {
            let text = it.body_text();
            let words = ["running", "expiring", "second", "third", "fourth"];
            words.into_iter().find(|word| text.contains(word)).unwrap()
        })
        .collect();
    assert_eq!(ran, ["running", "second", "third", "fourth", "expiring"]);
}

#[tokio::test]
async fn jobs_of_a_life_whose_clock_was_ahead_go_first_although_their_names_are_later() {
    let Some((disk, pair)) = on_disk().await else {
        return;
    };
    let Pair {
        stub,
        foreman: mut none,
    } = pair;
    none.signal(Signal::TERM);
    none.exit().await;
    disk.set_wall_clock(DAY);
    let on = |before| foreman().after(before).on(&disk).target(&stub.url());
    let first = on(&none).start().await;
    first.post("/foreman/v1/queue/pause", &json!({})).await;
    let mut ids = vec![submit(&first, &chat(A, "one")).await];
    let mut first = first;
    first.kill().await;

    disk.set_wall_clock(0);
    let second = on(&first).start().await;
    ids.push(submit(&second, &chat(A, "two")).await);
    assert!(ids[0] > ids[1], "names follow the clock: {ids:?}");
    second.post("/foreman/v1/queue/resume", &json!({})).await;

    eventually("both done", || async {
        stub.record().on("/api/chat").count() == 2
    })
    .await;
    let record = stub.record();
    let first = record.on("/api/chat").next().unwrap();
    assert!(first.body_text().contains("one"));
    for id in &ids {
        assert_eq!(ended(&second, id).await["state"], "done");
    }
}
