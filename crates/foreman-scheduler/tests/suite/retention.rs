//! What is forgotten, and when.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foreman_job::JobState;
use foreman_ollama::{FakeOllama, FakeReply};
use foreman_scheduler::{NewRequest, SchedulerConfig};
use foreman_store::{LogEvent, QueueStore};
use tokio::sync::Notify;

use crate::rig::*;

/// Keeps no bodies at all.
async fn forgetful() -> Rig {
    let config = SchedulerConfig {
        retain_bodies: Duration::ZERO,
        ..config()
    };
    let rig = Rig::with(FakeOllama::new(), config).await;
    rig.fake.on("/api/chat", echo);
    rig
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_not_kept_are_forgotten_with_the_last_byte() {
    let rig = forgetful().await;
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    assert!(text(ticket).await.contains("hi"));
    settle_down().await;

    assert_eq!(rig.store.request(id).await.unwrap(), None);
    assert_eq!(rig.store.answer(id).await.unwrap(), None);
    assert_eq!(rig.job(id).await.progress.state, JobState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_never_ran_leaves_no_request_behind() {
    let rig = forgetful().await;
    rig.fake.queue("/api/chat", FakeReply::ndjson(&[]).hang());
    let _running = rig.submit(chat("a", "one")).await;
    let cancelled = rig.submit(chat("a", "two")).await.id();
    let expired = NewRequest {
        expires_in: Some(Duration::from_millis(5)),
        ..chat("a", "three")
    };
    let expired = rig.submit(expired).await;

    rig.handle.cancel(cancelled).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;

    for id in [cancelled, expired.id()] {
        assert!(rig.job(id).await.progress.state.is_terminal());
        assert_eq!(rig.store.request(id).await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_kept_for_a_while_are_there_meanwhile() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    text(ticket).await;
    tokio::time::sleep(Duration::from_mins(5)).await;

    assert!(rig.store.request(id).await.unwrap().is_some());
    assert!(rig.store.answer(id).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_tried_once_a_minute_and_purged_when_there_is_room() {
    let rig = Rig::with(
        FakeOllama::new(),
        SchedulerConfig {
            retain_bodies: Duration::from_mins(1),
            ..config()
        },
    )
    .await;
    rig.fake.on("/api/chat", echo);
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();
    text(ticket).await;
    rig.store.full.store(true, Ordering::SeqCst);
    let before = rig.store.purges.load(Ordering::SeqCst);

    tokio::time::sleep(Duration::from_mins(30)).await;

    let tried = rig.store.purges.load(Ordering::SeqCst) - before;
    assert!((29..=31).contains(&tried), "{tried}");
    rig.store.full.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(rig.store.request(id).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn whoever_follows_gets_every_chunk_before_the_bodies_are_forgotten() {
    let rig = forgetful().await;
    let gate = Arc::new(Notify::new());
    let reply = FakeReply::ndjson(&[TOKEN, TOKEN, DONE]).when(Arc::clone(&gate));
    rig.fake.queue("/api/chat", reply);
    let made = rig.handle.submit_detached(chat("a", "hi")).await.unwrap();
    let id = made.job.id;
    let mut follower = rig.handle.follow(id, 0);

    gate.notify_one();
    settle_down().await;
    let mut told = Vec::new();
    loop {
        let page = follower.next().await.unwrap().unwrap();
        assert!(!page.pruned);
        told.extend(page.entries.iter().map(|entry| entry.event.clone()));
        if page.is_last() {
            break;
        }
    }
    let chunks = told.iter();
    let chunks = chunks.filter(|event| matches!(event, LogEvent::Chunk(_)));
    assert_eq!(chunks.count(), 3, "{told:?}");
    assert!(rig.store.request(id).await.unwrap().is_some());

    drop(follower);
    settle_down().await;

    assert_eq!(rig.store.request(id).await.unwrap(), None);
    assert_eq!(rig.store.answer(id).await.unwrap(), None);
}
