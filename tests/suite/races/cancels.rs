//! Cancelling: twice at once, too late, and just as the answer ends.

use foreman_stub::{End, Hold};
use foreman_tests::{Foreman, Pair, chat, stub};
use serde_json::json;

use super::{JOBS, cancel, end, ended, wait_a_little};
use crate::{A, content, foreman};

async fn submit(foreman: &Foreman, prompt: &str) -> String {
    let submission = json!({"endpoint": "/api/chat", "request": chat(A, prompt)});
    let reply = foreman.post(JOBS, &submission).await;
    assert_eq!(reply.status(), 202, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_that_cancel_at_once_and_a_third_later_are_told_the_same() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = submit(&foreman, "running").await;
    gate.reached().await;
    let waiting = submit(&foreman, "waiting").await;

    let (one, two) = tokio::join!(cancel(&foreman, &waiting), cancel(&foreman, &waiting));
    let (three, four) = tokio::join!(cancel(&foreman, &running), cancel(&foreman, &running));
    let job = ended(&foreman, &running).await;
    let five = cancel(&foreman, &running).await;

    for reply in [&one, &two, &five] {
        assert_eq!(
            (reply.status(), &reply.json()["state"]),
            (200, &json!("cancelled"))
        );
    }
    for reply in [three, four] {
        let told = reply.json();
        let is_honest = told["state"] == "cancelled" || told["cancel_requested"] == true;
        assert!(reply.status() == 200 && is_honest, "{told}");
    }
    assert_eq!(job, five.json(), "it does not change any more");
    let lines = foreman.log().lines();
    assert_eq!(end(&lines, &running), "cancelled");
    assert_eq!(end(&lines, &waiting), "cancelled");
    stub.wait_for("the target to see it", |record| {
        record
            .on("/api/chat")
            .all(|it| it.end == Some(End::ClientGone))
    })
    .await
    .unwrap();
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn a_job_that_is_over_stays_as_it_is() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let id = submit(&foreman, "over").await;
    let before = ended(&foreman, &id).await;

    let reply = cancel(&foreman, &id).await;

    assert_eq!((reply.status(), reply.json()), (200, before));
    let output = foreman.get(&format!("{JOBS}/{id}/output")).await;
    assert_eq!(content(&output.json()), "echo: over");
}

/// Cancels a job after some turns; tells whether it was done before.
async fn race(foreman: &Foreman, number: usize) -> bool {
    let id = submit(foreman, "raced").await;
    wait_a_little(number % 97).await;
    if number.is_multiple_of(3) {
        // Later still: its end is near, or over.
        foreman.get(&format!("{JOBS}/{id}")).await;
    }
    let reply = cancel(foreman, &id).await;
    let told = reply.json();
    let job = ended(foreman, &id).await;
    let output = foreman.get(&format!("{JOBS}/{id}/output")).await;
    assert_eq!(reply.status(), 200, "{told}");
    if told["finished_at"].is_null() {
        // The answer may have been whole when the wish came.
        assert_eq!(told["cancel_requested"], true, "{told}");
    } else {
        assert_eq!(told, job, "what was told is final");
    }
    if job["state"] == "done" {
        assert_eq!(content(&output.json()), "echo: raced");
        return true;
    }
    assert_eq!(
        (&job["state"], output.status()),
        (&json!("cancelled"), 499),
        "{told}"
    );
    false
}

#[tokio::test]
async fn in_a_thousand_races_of_a_cancel_and_the_end_one_of_the_two_wins() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let lane = |first: usize| {
        let foreman = &foreman;
        async move {
            let mut done = 0;
            for number in (first..1000).step_by(4) {
                done += usize::from(race(foreman, number).await);
            }
            done
        }
    };

    let (one, two, three, four) = tokio::join!(lane(0), lane(1), lane(2), lane(3));

    let done = one + two + three + four;
    assert!((1..1000).contains(&done), "{done} of 1000 were done before");
    let lines = foreman.log().lines();
    let count = |state: &str| lines.iter().filter(|line| line["to"] == state).count();
    assert_eq!((count("done"), count("cancelled")), (done, 1000 - done));
    let health = foreman.health().await;
    assert_eq!(health["queue"]["queued"], 0);
    drop(stub);
}
