//! Callers that leave, read slowly, or come too many.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::JobState;
use foreman_ollama::{FakeOllama, FakeReply};
use foreman_scheduler::{NewRequest, SchedulerConfig, SubmitError, WhenCallerLeaves};
use foreman_store::QueueStore as _;
use http::StatusCode;
use tokio::sync::Notify;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_while_queued_never_reaches_the_target() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[TOKEN, DONE]).when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/chat", echo);
    let first = rig.submit(chat("a", "first")).await;
    let leaving = rig.submit(chat("a", "leaving")).await;
    let last = rig.submit(chat("a", "last")).await;
    let id = leaving.id();

    drop(leaving);
    settle_down().await;
    gate.notify_one();
    text(first).await;
    text(last).await;

    assert_eq!(rig.job(id).await.progress.state, JobState::Cancelled);
    assert_eq!(rig.prompts(), ["first", "last"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_in_mid_stream_frees_the_target() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN]).hang());
    rig.fake.on("/api/chat", echo);
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();
    let mut output = output(ticket).await;
    output.chunk().await.unwrap().unwrap();

    drop(output);
    rig.fake.until_dropped(1).await;
    text(rig.submit(chat("a", "next")).await).await;

    assert_eq!(rig.job(id).await.progress.state, JobState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_to_be_kept_is_finished_without_its_caller() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[TOKEN, DONE]).when(Arc::clone(&gate)),
    );
    let mut request = chat("a", "hi");
    request.when_caller_leaves = WhenCallerLeaves::Finish;
    let ticket = rig.submit(request).await;
    let id = ticket.id();

    drop(ticket);
    settle_down().await;
    gate.notify_one();
    settle_down().await;

    assert_eq!(rig.job(id).await.progress.state, JobState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_others_wait_for_is_not_thrown_away() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[TOKEN]).hang().when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/chat", echo);
    let leaving = rig.submit(chat("a", "leaving")).await;
    settle_down().await;
    let waiting = rig.submit(chat("a", "waiting")).await;

    drop(leaving);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.fake.dropped(), 0, "the load was aborted");
    gate.notify_one();
    text(waiting).await;

    assert_eq!(rig.prompts(), ["leaving", "waiting"]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_nobody_waits_for_is_aborted_at_once() {
    let rig = Rig::start().await;
    let reply = FakeReply::ndjson(&[DONE]).after(Duration::from_mins(5));
    rig.fake.queue("/api/chat", reply);
    let ticket = rig.submit(chat("a", "leaving")).await;
    let id = ticket.id();
    settle_down().await;

    drop(ticket);
    rig.fake.until_dropped(1).await;
    settle_down().await;

    assert_eq!(rig.job(id).await.progress.state, JobState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_delays_nobody() {
    let rig = Rig::start().await;
    let mut lines = vec![TOKEN; 5_000];
    lines.push(DONE);
    rig.fake.queue("/api/chat", FakeReply::ndjson(&lines));
    rig.fake.on("/api/chat", echo);
    let unread = output(rig.submit(chat("a", "slow")).await).await;

    text(rig.submit(chat("a", "next")).await).await;

    let mut unread = unread;
    let mut chunks = 0;
    while let Some(chunk) = unread.chunk().await {
        chunk.unwrap();
        chunks += 1;
    }
    assert_eq!(chunks, 5_001);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_no_more() {
    let config = SchedulerConfig {
        max_queue: 2,
        ..config()
    };
    let rig = Rig::with(FakeOllama::new(), config).await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[DONE]).when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/chat", echo);
    let running = rig.submit(chat("a", "running")).await;
    settle_down().await;
    let waiting = [
        rig.submit(chat("a", "1")).await,
        rig.submit(chat("a", "2")).await,
    ];

    let refused = rig.try_submit(chat("a", "3")).await.unwrap_err();
    assert!(matches!(refused, SubmitError::QueueFull { waiting: 2 }));

    gate.notify_one();
    text(running).await;
    for ticket in waiting {
        text(ticket).await;
    }
    text(rig.submit(chat("a", "4")).await).await;
}

#[tokio::test(start_paused = true)]
async fn thousands_of_callers_that_leave_at_once_are_all_cancelled() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::json(StatusCode::OK, DONE).when(Arc::clone(&gate)),
    );
    let running = rig.submit(chat("a", "running")).await;
    let mut tickets = Vec::new();
    for n in 0..2_000 {
        tickets.push(rig.submit(chat("a", &n.to_string())).await);
    }

    drop(tickets);
    settle_down().await;
    gate.notify_one();
    text(running).await;

    assert_eq!(rig.store.counts().cancelled, 2_000);
    assert_eq!(rig.prompts(), ["running"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_have_as_many_waiting_jobs_as_its_cap_says() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[DONE]).when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/chat", echo);
    let from = |caller: &str, prompt: &str| NewRequest {
        caller: Some(caller.to_owned()),
        max_queued: Some(2),
        ..chat("a", prompt)
    };
    let running = rig.submit(from("ann", "running")).await;
    settle_down().await;
    let first = rig.submit(from("ann", "1")).await;
    let second = rig.submit(from("ann", "2")).await;

    let refused = rig.try_submit(from("ann", "3")).await.unwrap_err();
    let other = rig.submit(from("bob", "other")).await;
    drop(first);
    settle_down().await;
    let third = rig.submit(from("ann", "4")).await;

    assert!(matches!(
        refused,
        SubmitError::CallerQueueFull { waiting: 2 }
    ));
    gate.notify_one();
    for ticket in [running, second, other, third] {
        text(ticket).await;
    }
    // Between callers the one goes first that had less of the target of late.
    assert_eq!(rig.prompts(), ["running", "other", "2", "4"]);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_nobody_waits_at_count_for_the_cap_until_they_run_or_end() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[DONE]).when(Arc::clone(&gate)),
    );
    rig.fake.on("/api/chat", echo);
    let from = |prompt: &str| NewRequest {
        caller: Some("ann".to_owned()),
        max_queued: Some(2),
        ..chat("a", prompt)
    };
    let running = rig.submit(from("running")).await;
    settle_down().await;

    let many = ["1", "2", "3"].map(from).to_vec();
    let made = rig.handle.submit_all_detached(many).await;
    let ids: Vec<_> = made.iter().flatten().map(|made| made.job.id).collect();
    let refused = made.into_iter().find_map(Result::err).unwrap();
    rig.handle.cancel(ids[0]).await.unwrap();
    let fourth = rig.handle.submit_detached(from("4")).await.unwrap();
    let full = rig.handle.submit_detached(from("5")).await.unwrap_err();

    assert!(matches!(
        (refused, full),
        (
            SubmitError::CallerQueueFull { waiting: 2 },
            SubmitError::CallerQueueFull { waiting: 2 }
        )
    ));
    gate.notify_one();
    text(running).await;
    rig.until_done(3).await;
    assert!(fourth.is_new);
    assert_eq!(rig.prompts(), ["running", "2", "4"]);
    let after = rig
        .handle
        .submit_all_detached(["6", "7"].map(from).to_vec());
    assert!(after.await.iter().all(Result::is_ok));
}
