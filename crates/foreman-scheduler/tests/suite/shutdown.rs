//! The two stages of a shutdown, and what the next life finds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use foreman_job::JobState;
use foreman_ollama::{FakeOllama, FakeReply};
use foreman_scheduler::{Ending, First, SchedulerError, SubmitError};
use tokio::sync::Notify;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn the_running_job_is_finished_and_the_waiting_ones_stay_queued() {
    let mut rig = Rig::start().await;
    let gate = Arc::new(Notify::new());
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[TOKEN, DONE]).when(Arc::clone(&gate)),
    );
    let running = rig.submit(chat("a", "running")).await;
    let waiting = rig.submit(chat("a", "waiting")).await;
    let id = waiting.id();
    settle_down().await;

    rig.shutdown.drain.cancel();
    let First::Ended { ending, .. } = waiting.first().await else {
        panic!("it was answered");
    };
    assert_eq!(ending, Ending::ShuttingDown);
    let refused = rig.try_submit(chat("a", "late")).await;
    assert!(matches!(refused, Err(SubmitError::ShuttingDown)));
    gate.notify_one();
    text(running).await;

    rig.scheduler.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(rig.job(id).await.progress.state, JobState::Queued);
    assert_eq!(rig.prompts(), ["running"]);
}

#[tokio::test(start_paused = true)]
async fn a_forced_shutdown_puts_the_running_job_back_without_spending_an_attempt() {
    let mut rig = Rig::start().await;
    rig.fake.queue("/api/chat", FakeReply::ndjson(&[]).hang());
    let running = rig.submit(chat("a", "running")).await;
    let id = running.id();
    settle_down().await;

    rig.shutdown.drain.cancel();
    rig.shutdown.force.cancel();
    let First::Ended { ending, .. } = running.first().await else {
        panic!("it was answered");
    };
    rig.scheduler.join_next().await.unwrap().unwrap().unwrap();

    assert_eq!(ending, Ending::ShuttingDown);
    let job = rig.job(id).await;
    assert_eq!(
        (job.progress.state, job.progress.attempt),
        (JobState::Queued, 0)
    );
    assert_eq!(rig.fake.dropped(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_life_runs_what_the_last_one_left_in_order() {
    let rig = Rig::start().await;
    rig.fake.queue("/api/chat", FakeReply::ndjson(&[]).hang());
    let mut tickets = Vec::new();
    for n in 0..5 {
        tickets.push(rig.submit(chat("a", &n.to_string())).await);
    }
    settle_down().await;
    let store = Arc::clone(&rig.store);
    // The process dies: nobody is told, nothing is settled.
    let ids: Vec<_> = tickets.iter().map(foreman_scheduler::Ticket::id).collect();
    drop(rig);
    drop(tickets);

    let fake = FakeOllama::new();
    fake.on("/api/chat", echo);
    let next = Rig::over(fake, config(), store).await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;

    assert_eq!(next.prompts(), ["0", "1", "2", "3", "4"]);
    for id in ids {
        assert_eq!(next.job(id).await.progress.state, JobState::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_kept_at_all_ends_the_scheduler() {
    let mut rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);
    rig.store.full.store(true, Ordering::SeqCst);

    let ticket = rig.submit(chat("a", "hi")).await;
    let end = rig.scheduler.join_next().await.unwrap().unwrap();

    assert!(matches!(end, Err(SchedulerError::Store(_))), "{end:?}");
    // The next life finds it.
    assert!(rig.job(ticket.id()).await.progress.state.is_running());
}
