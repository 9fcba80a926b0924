//! Turns between callers, pauses, and what is told of the queue.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::{Priority, Timestamp};
use foreman_ollama::{FakeOllama, FakeReply, InventorySnapshot, ModelName};
use foreman_scheduler::{Estimate, NewRequest, Paused, Scope, Ticket};

use crate::rig::*;

/// The time at which the clock of a rig begins.
const START: i64 = 1_000_000;

fn of(caller: &str, request: NewRequest) -> NewRequest {
    NewRequest {
        caller: Some(caller.to_owned()),
        ..request
    }
}

/// A rig whose answers take a while.
async fn slow(answer: Duration) -> Rig {
    let rig = Rig::start().await;
    let done = r#"{"message":{"content":""},"done":true,"load_duration":1000000}"#;
    rig.fake.on("/api/chat", move |_| {
        FakeReply::ndjson(&[TOKEN, done]).after(answer)
    });
    rig
}

async fn done(tickets: Vec<Ticket>) {
    for ticket in tickets {
        text(ticket).await;
    }
}

fn nothing() -> InventorySnapshot {
    InventorySnapshot::empty(jiff::Timestamp::UNIX_EPOCH)
}

fn name(model: &str) -> ModelName {
    ModelName::parse(model).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_five_jobs_does_not_wait_for_five_hundred_of_another() {
    let rig = slow(Duration::from_millis(100)).await;
    let mut tickets = Vec::new();
    for n in 0..500 {
        tickets.push(
            rig.submit(of("many", chat("a", &format!("many {n}"))))
                .await,
        );
    }
    for n in 0..5 {
        tickets.push(rig.submit(of("few", chat("a", &format!("few {n}")))).await);
    }

    done(tickets).await;

    let prompts = rig.prompts();
    let few: Vec<usize> = (0..5)
        .map(|n| {
            let wanted = format!("few {n}");
            prompts.iter().position(|it| *it == wanted).unwrap()
        })
        .collect();
    assert!(few.is_sorted() && few[4] < 15, "{few:?}");
    let many = prompts.iter().filter_map(|it| it.strip_prefix("many "));
    let many: Vec<u32> = many.map(|n| n.parse().unwrap()).collect();
    assert!(many.is_sorted() && many.len() == 500);
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_starts_nothing_and_what_runs_ends() {
    let rig = slow(Duration::from_secs(1)).await;
    let running = rig.submit(chat("a", "runs")).await;
    settle_down().await;

    let paused = rig.handle.pause(Scope::All, &nothing()).await.unwrap();
    let waiting = rig.submit(chat("a", "waits")).await;
    text(running).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let before = rig.prompts();
    let resumed = rig.handle.resume(Scope::All).await.unwrap();
    text(waiting).await;

    assert!(paused.all && resumed == Paused::default());
    assert_eq!(before, ["runs"]);
    assert_eq!(rig.prompts(), ["runs", "waits"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_model_waits_while_others_run_also_after_a_restart() {
    let rig = slow(Duration::from_millis(10)).await;
    rig.handle
        .pause(Scope::Model(&name("A")), &nothing())
        .await
        .unwrap();
    let waiting = rig.submit(chat("a", "a0")).await;
    text(rig.submit(chat("b", "b0")).await).await;
    drop(waiting);
    let kept = rig.submit(NewRequest {
        when_caller_leaves: foreman_scheduler::WhenCallerLeaves::Finish,
        ..chat("a", "a1")
    });
    let kept = kept.await.id();
    settle_down().await;
    rig.shutdown.drain.cancel();
    let store = Arc::clone(&rig.store);

    let next = Rig::over(FakeOllama::new(), config(), store).await;
    next.fake.on("/api/chat", echo);
    tokio::time::sleep(Duration::from_mins(1)).await;

    assert_eq!(rig.prompts(), ["b0"]);
    assert_eq!(next.prompts(), Vec::<String>::new());
    assert_eq!(next.handle.paused().models, ["a:latest"]);
    next.handle
        .resume(Scope::Model(&name("a:latest")))
        .await
        .unwrap();
    while !next.job(kept).await.progress.state.is_terminal() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(next.prompts(), ["a1"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_not_started_before_its_time() {
    let rig = slow(Duration::from_millis(10)).await;
    let due = Timestamp::from_millis(START).saturating_add(Duration::from_hours(3));
    let later = rig.submit(NewRequest {
        not_before: Some(due),
        ..chat("a", "later")
    });
    let later = later.await;
    let id = later.id();
    let estimate = rig.handle.estimate(&rig.job(id).await).await.unwrap();
    text(rig.submit(chat("a", "now")).await).await;

    text(later).await;

    assert_eq!(estimate, Estimate::default());
    let job = rig.job(id).await;
    let claimed_at = job.claimed_at.unwrap();
    assert!(claimed_at >= due && claimed_at.since(due) < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_job_knows_its_place_and_when_its_turn_comes_once_that_can_be_known() {
    let rig = slow(Duration::from_secs(10)).await;
    let mut tickets = Vec::new();
    for n in 0..8 {
        tickets.push(rig.submit(chat("a", &format!("a{n}"))).await);
    }
    let hurried = rig.submit(NewRequest {
        priority: Priority::High,
        ..chat("a", "high")
    });
    tickets.push(hurried.await);
    let last = tickets[7].id();
    let at_first = estimate(&rig, last).await;

    tokio::time::sleep(Duration::from_millis(45_500)).await;
    let later = estimate(&rig, last).await;
    rig.handle.pause(Scope::All, &nothing()).await.unwrap();
    let paused = estimate(&rig, last).await;
    rig.handle.resume(Scope::All).await.unwrap();
    done(tickets).await;

    assert_eq!(at_first.eta, None, "nothing has run yet");
    assert_eq!(at_first.position, Some(8), "seven others wait, one runs");
    assert_eq!(later.position, Some(4));
    let eta = later.eta.unwrap();
    assert!(
        eta > Duration::from_secs(30) && eta < Duration::from_secs(40),
        "{eta:?}"
    );
    assert_eq!((paused.position, paused.eta), (Some(4), None));
    assert_eq!(estimate(&rig, last).await, Estimate::default());
}

async fn estimate(rig: &Rig, id: foreman_job::JobId) -> Estimate {
    settle_down().await;
    rig.handle.estimate(&rig.job(id).await).await.unwrap()
}
