//! Requests that client libraries send again by themselves.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::JobState;
use foreman_ollama::{ErrorKind, FakeReply};
use foreman_scheduler::{NewRequest, Resendable, Submitted, Ticket};
use foreman_store::QueueStore as _;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::rig::*;

fn sent(prompt: &str, is_resend: bool) -> NewRequest {
    let mut hash = [0; 32];
    hash[..prompt.len()].copy_from_slice(prompt.as_bytes());
    NewRequest {
        caller: Some("ann".to_owned()),
        resendable: Some(Resendable {
            is_resend,
            body_hash: hash,
        }),
        ..chat("a", prompt)
    }
}

/// A rig whose first run waits for the gate.
async fn held() -> (Rig, Arc<Notify>, Ticket) {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[TOKEN, DONE]).when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/chat", echo);
    let running = rig.submit(sent("running", false)).await;
    settle_down().await;
    (rig, gate, running)
}

async fn attached(rig: &Rig, request: NewRequest) -> Ticket {
    match rig.try_submit(request).await.unwrap() {
        Submitted::Attached(ticket) => ticket,
        other @ (Submitted::New(_) | Submitted::Ended(_)) => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_resend_takes_the_place_in_the_queue_of_the_request_it_replaces() {
    let (rig, gate, running) = held().await;
    let lost = rig.submit(sent("lost", false)).await;
    let id = lost.id();
    let behind = rig.submit(sent("behind", false)).await;

    drop(lost);
    sleep(Duration::from_secs(1)).await;
    let again = attached(&rig, sent("lost", true)).await;
    sleep(Duration::from_secs(10)).await;
    gate.notify_one();
    text(running).await;
    let answer = text(again).await;
    text(behind).await;

    assert!(answer.contains("lost"));
    assert_eq!(rig.prompts(), ["running", "lost", "behind"]);
    assert_eq!(rig.job(id).await.progress.state, JobState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_resend_finds_the_running_job_that_has_answered_nothing_yet() {
    let (rig, gate, running) = held().await;

    drop(running);
    sleep(Duration::from_millis(500)).await;
    let again = attached(&rig, sent("running", true)).await;
    sleep(Duration::from_secs(10)).await;
    gate.notify_one();

    assert_eq!(text(again).await, format!("{TOKEN}\n{DONE}\n"));
    assert_eq!(rig.fake.dropped(), 0);
    assert_eq!(rig.prompts(), ["running"]);
}

#[tokio::test(start_paused = true)]
async fn a_resend_that_comes_before_the_first_caller_is_gone_shares_its_job() {
    let (rig, gate, running) = held().await;
    let early = rig.submit(sent("early", false)).await;

    let again = attached(&rig, sent("early", true)).await;
    drop(early);
    sleep(Duration::from_secs(10)).await;
    gate.notify_one();
    text(running).await;

    assert!(text(again).await.contains("early"));
    assert_eq!(rig.prompts(), ["running", "early"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_resend_the_job_is_cancelled_when_its_grace_ends() {
    let (rig, gate, running) = held().await;
    let left = rig.submit(sent("left", false)).await;
    let id = left.id();

    drop(left);
    sleep(Duration::from_millis(1900)).await;
    assert_eq!(rig.job(id).await.progress.state, JobState::Queued);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.job(id).await.progress.state, JobState::Cancelled);

    let late = rig.try_submit(sent("left", true)).await.unwrap();
    let Submitted::New(late) = late else {
        panic!("{late:?}");
    };
    gate.notify_one();
    text(running).await;
    text(late).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_departure_has_a_grace_of_its_own() {
    let (rig, gate, running) = held().await;
    let lost = rig.submit(sent("lost", false)).await;

    drop(lost);
    sleep(Duration::from_millis(1500)).await;
    drop(attached(&rig, sent("lost", true)).await);
    sleep(Duration::from_millis(1500)).await;
    let again = attached(&rig, sent("lost", true)).await;
    gate.notify_one();
    text(running).await;

    assert!(text(again).await.contains("lost"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_nobody_sends_again_frees_the_target_within_a_second() {
    let (rig, _gate, running) = held().await;

    drop(running);
    sleep(Duration::from_secs(1)).await;

    assert_eq!(rig.fake.dropped(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_is_stopped_at_once() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN]).hang());
    let ticket = rig.submit(sent("begun", false)).await;
    let id = ticket.id();
    let output = output(ticket).await;

    drop(output);
    settle_down().await;

    assert_eq!(rig.job(id).await.progress.state, JobState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_same_request_makes_a_job_of_its_own() {
    let (rig, gate, running) = held().await;
    let waiting = rig.submit(sent("same", false)).await;
    let other_caller = NewRequest {
        caller: Some("bob".to_owned()),
        ..sent("same", true)
    };

    for request in [
        other_caller,
        sent("other", true),
        sent("same", false),
        chat("a", "same"),
    ] {
        let submitted = rig.try_submit(request).await.unwrap();
        assert!(matches!(submitted, Submitted::New(_)), "{submitted:?}");
    }

    gate.notify_one();
    text(running).await;
    text(waiting).await;
}

#[tokio::test(start_paused = true)]
async fn a_resend_after_the_end_runs_anew() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::error(ErrorKind::Tls));
    rig.fake.on("/api/chat", echo);
    drop(rig.submit(sent("again", false)).await.first().await);

    let submitted = rig.try_submit(sent("again", true)).await.unwrap();

    assert!(matches!(submitted, Submitted::New(_)), "{submitted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_still_takes_a_resend() {
    let config = foreman_scheduler::SchedulerConfig {
        max_queue: 1,
        ..config()
    };
    let rig = Rig::with(foreman_ollama::FakeOllama::new(), config).await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[DONE]).when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/chat", echo);
    let running = rig.submit(chat("a", "running")).await;
    settle_down().await;
    drop(rig.submit(sent("lost", false)).await);

    let again = attached(&rig, sent("lost", true)).await;
    gate.notify_one();
    text(running).await;
    text(again).await;

    assert_eq!(rig.store.counts().done, 2);
}
