//! Jobs that nobody waits at, and those who follow them.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::{JobId, JobState};
use foreman_ollama::FakeReply;
use foreman_scheduler::{Follower, WhenCallerLeaves};
use foreman_store::{Deletion, LogEvent, LogPage, QueueStore as _, RunLog};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::rig::*;

/// Tells events in short.
fn told(page: &LogPage) -> Vec<String> {
    let tell = |event: &LogEvent| match event {
        LogEvent::State(state) => state.to_string(),
        LogEvent::Reset => "reset".to_owned(),
        LogEvent::Chunk(_) => "chunk".to_owned(),
        LogEvent::End { state, .. } => format!("end {state}"),
    };
    let entries = page.entries.iter();
    entries
        .map(|entry| format!("{} {}", entry.n, tell(&entry.event)))
        .collect()
}

async fn next(follower: &mut Follower) -> Vec<String> {
    told(&follower.next().await.unwrap().unwrap())
}

/// Reads a log to its end.
async fn whole(rig: &Rig, id: JobId) -> Vec<String> {
    let mut follower = rig.handle.follow(id, 0);
    let mut all = Vec::new();
    loop {
        let page = follower.next().await.unwrap().unwrap();
        all.extend(told(&page));
        if page.is_last() {
            return all;
        }
    }
}

async fn detached(rig: &Rig, prompt: &str) -> JobId {
    let request = chat("a", prompt);
    assert_eq!(request.when_caller_leaves, WhenCallerLeaves::Cancel);
    let made = rig.handle.submit_detached(request).await.unwrap();
    assert!(made.is_new);
    assert_eq!(made.job, rig.job(made.job.id).await);
    made.job.id
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_waits_at_is_finished() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);

    let id = detached(&rig, "hi").await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let job = rig.handle.wait_for_end(id, deadline).await.unwrap();

    assert_eq!(job.unwrap().progress.state, JobState::Done);
    assert_eq!(
        whole(&rig, id).await,
        [
            "1 queued",
            "2 loading",
            "3 working",
            "4 chunk",
            "5 chunk",
            "6 end done"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_when_the_time_is_over() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN]).hang());
    let id = detached(&rig, "hi").await;
    let began = Instant::now();

    let deadline = began + Duration::from_secs(30);
    let job = rig.handle.wait_for_end(id, deadline).await.unwrap();

    assert_eq!(job.unwrap().progress.state, JobState::Working);
    assert_eq!(began.elapsed(), Duration::from_secs(30));
    let unknown = "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC".parse().unwrap();
    let nothing = rig.handle.wait_for_end(unknown, deadline).await.unwrap();
    assert_eq!(nothing, None);
}

#[tokio::test(start_paused = true)]
async fn a_follower_gets_each_part_once_it_is_durable() {
    let rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    let first = FakeReply::ndjson(&[DONE]).when(Arc::clone(&gate));
    rig.fake.queue("/api/chat", first);
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, TOKEN]).hang());
    detached(&rig, "first").await;
    let id = detached(&rig, "second").await;
    let mut follower = rig.handle.follow(id, 0);

    assert_eq!(next(&mut follower).await, ["1 queued"]);
    gate.notify_one();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.extend(next(&mut follower).await);
        let stored = rig.store.events(id, 0, 99).await.unwrap().unwrap();
        assert_eq!(
            told(&stored)[1..=seen.len()],
            seen,
            "told before it was durable"
        );
    }

    assert_eq!(seen, ["2 loading", "3 working", "4 chunk", "5 chunk"]);
    rig.handle.cancel(id).await.unwrap();
    assert_eq!(next(&mut follower).await, ["6 end cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_callers_job_is_logged_while_it_runs_only_if_it_is_followed() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, TOKEN]).hang());
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();
    let mut caller = output(ticket).await;
    caller.chunk().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let unfollowed = rig.store.events(id, 0, 99).await.unwrap().unwrap();

    let mut follower = rig.handle.follow(id, 1);
    let logged = next(&mut follower).await;

    assert_eq!(told(&unfollowed), ["1 queued"]);
    assert_eq!(logged, ["2 loading", "3 working", "4 chunk", "5 chunk"]);
    drop(caller);
    assert_eq!(next(&mut follower).await, ["6 end cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_breaks_off_under_a_follower_is_taken_back() {
    let rig = Rig::start().await;
    let broken = FakeReply::ndjson(&[TOKEN]).hang();
    rig.fake.queue("/api/chat", broken);
    rig.fake.on("/api/chat", echo);
    let id = detached(&rig, "hi").await;

    let log = whole(&rig, id).await;

    assert_eq!(
        log,
        [
            "1 queued",
            "2 loading",
            "3 working",
            "4 chunk",
            "5 reset",
            "6 queued",
            "7 loading",
            "8 working",
            "9 chunk",
            "10 chunk",
            "11 end done"
        ]
    );
    let answer = rig.store.answer(id).await.unwrap().unwrap();
    assert_eq!(answer.chunks.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_durable_before_the_end_does_not_come_with_it_again() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, TOKEN]).hang());
    let id = detached(&rig, "hi").await;
    let mut follower = rig.handle.follow(id, 1);
    assert_eq!(
        next(&mut follower).await,
        ["2 loading", "3 working", "4 chunk", "5 chunk"]
    );

    rig.handle.cancel(id).await.unwrap();

    assert_eq!(next(&mut follower).await, ["6 end cancelled"]);
    let rest = RunLog {
        first: 6,
        events: Vec::new(),
    };
    assert_eq!(*rig.store.logs.lock().unwrap(), [rest]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_following_of_a_job_that_waits() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN]).hang());
    detached(&rig, "first").await;
    let id = detached(&rig, "second").await;
    let mut follower = rig.handle.follow(id, 1);
    settle_down().await;

    rig.shutdown.drain.cancel();

    assert_eq!(next(&mut follower).await, Vec::<String>::new());
    rig.shutdown.force.cancel();
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told_to_those_who_listen() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN]).hang());
    let mut changes = rig.handle.transitions();

    let id = detached(&rig, "hi").await;

    let mut states = Vec::new();
    while states.last() != Some(&JobState::Cancelled) {
        let change = changes.recv().await.unwrap();
        assert_eq!(change.job.id, id);
        assert_eq!(change.from, states.last().copied());
        states.push(change.job.progress.state);
        if change.job.progress.state == JobState::Working {
            rig.handle.cancel(id).await.unwrap();
        }
    }
    let all = [
        JobState::Queued,
        JobState::Loading,
        JobState::Working,
        JobState::Cancelled,
    ];
    assert_eq!(states, all);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_job_that_waited_never_runs_and_its_follower_learns_it() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN]).hang());
    let running = detached(&rig, "first").await;
    let id = detached(&rig, "second").await;
    let mut follower = rig.handle.follow(id, 1);
    settle_down().await;

    let deletion = rig.handle.delete(id).await.unwrap();
    let refused = rig.handle.delete(running).await.unwrap();

    assert!(matches!(deletion, Deletion::Forgotten(_)), "{deletion:?}");
    assert!(matches!(refused, Deletion::Running(_)), "{refused:?}");
    assert_eq!(follower.next().await.unwrap(), None);
    assert_eq!(rig.prompts(), ["first"]);
}
