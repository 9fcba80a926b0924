//! Jobs that run to their end before their claims are answered.

use std::sync::atomic::Ordering;

use foreman_job::JobState;
use foreman_ollama::FakeReply;
use foreman_scheduler::{Ending, First, SchedulerError, Ticket};
use foreman_store::{QueueStore, StoreError};
use futures_util::FutureExt;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::rig::*;

/// A scheduler whose claims are held, with a job that has ended and others that wait.
async fn with_waiting<const COUNT: usize>(prompts: [&str; COUNT]) -> (Rig, [Ticket; COUNT]) {
    let rig = Rig::start().await;
    rig.store.waits.store(true, Ordering::SeqCst);
    let gate = hold_first(&rig.fake);
    let first = rig.submit(chat("a", "first")).await;
    while rig.handle.status().running.is_none() {
        settle_down().await;
    }
    let mut tickets = Vec::new();
    for prompt in prompts {
        tickets.push(rig.submit(chat("a", prompt)).await);
    }
    rig.fake
        .on("/api/chat", |request| match prompt(request).as_str() {
            "streamed" => echo(request),
            "unknown" => {
                FakeReply::json(StatusCode::NOT_FOUND, r#"{"error":"model 'a' not found"}"#)
            }
            _ => whole(request),
        });
    rig.store.claims.forget_permits(usize::MAX);
    gate.notify_one();
    text(first).await;
    settle_down().await;
    (rig, tickets.try_into().unwrap())
}

fn let_go(rig: &Rig) {
    rig.store.claims.add_permits(Semaphore::MAX_PERMITS);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_answer_is_there_does_not_hold_up_the_next_one() {
    let prompts = ["two", "three", "four"];
    let (rig, tickets) = with_waiting(prompts).await;

    assert_eq!(rig.prompts(), ["first", "two", "three", "four"]);
    assert_eq!(rig.store.counts().queued, 3);
    for ticket in &tickets {
        assert_eq!(ticket.ready().now_or_never(), None);
    }

    let_go(&rig);
    for (ticket, said) in tickets.into_iter().zip(prompts) {
        assert!(text(ticket).await.contains(said));
    }
    assert_eq!(rig.prompts(), ["first", "two", "three", "four"]);
    assert_eq!(rig.store.counts().done, 4);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_run_ahead_of_their_claims() {
    const MOST: usize = 16;
    let prompts = [""; 2 * MOST];
    let (rig, tickets) = with_waiting(prompts).await;

    // One more is at the target, and waits there for its claim.
    assert_eq!(rig.prompts().len(), 1 + MOST + 1);

    let_go(&rig);
    for ticket in tickets {
        text(ticket).await;
    }
    assert_eq!(rig.prompts().len(), 1 + prompts.len());
}

#[tokio::test(start_paused = true)]
async fn what_is_streamed_or_refused_is_not_shown_before_the_claim() {
    for said in ["streamed", "unknown"] {
        let (rig, [shown, next]) = with_waiting([said, "next"]).await;

        assert_eq!(rig.prompts(), ["first", said]);
        assert_eq!(shown.ready().now_or_never(), None);

        let_go(&rig);
        assert!(text(next).await.contains("next"));
        let job = rig.job(shown.id()).await;
        assert!(job.progress.state.is_terminal());
        assert!(matches!(shown.first().await, First::Answer(..)));
        assert_eq!(rig.prompts(), ["first", said, "next"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_job_that_was_cancelled_before_its_claim_is_dropped() {
    let (rig, [second, third]) = with_waiting(["two", "three"]).await;

    rig.handle.cancel(second.id()).await.unwrap();
    let_go(&rig);

    assert!(text(third).await.contains("three"));
    assert_eq!(
        rig.job(second.id()).await.progress.state,
        JobState::Cancelled
    );
    let First::Ended { ending, .. } = second.first().await else {
        panic!("it was answered");
    };
    assert_eq!(ending, Ending::Cancelled);
    assert_eq!(rig.prompts(), ["first", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_claim_the_store_cannot_make_now_runs_again() {
    let (rig, tickets) = with_waiting(["two", "three"]).await;
    *rig.store.refusal.lock().unwrap() = Some(StoreError::Busy);

    let_go(&rig);

    for (ticket, said) in tickets.into_iter().zip(["two", "three"]) {
        assert!(text(ticket).await.contains(said));
    }
    assert_eq!(rig.prompts(), ["first", "two", "three", "two"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_answered_ahead_of_a_claim_that_nobody_knows_of_is_told_so() {
    let (mut rig, tickets) = with_waiting(["two"]).await;
    *rig.store.refusal.lock().unwrap() = Some(StoreError::Failed("no disk".to_owned()));

    let_go(&rig);

    let ended = rig.scheduler.join_next().await.unwrap().unwrap();
    assert!(matches!(ended, Err(SchedulerError::Store(_))), "{ended:?}");
    for ticket in tickets {
        let First::Ended { ending, .. } = ticket.first().await else {
            panic!("it was answered");
        };
        assert_eq!(ending, Ending::Unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_claim_comes_to_nothing_in_a_shutdown_stays_and_its_caller_is_told() {
    let (mut rig, [second, _streamed]) = with_waiting(["two", "streamed"]).await;
    *rig.store.refusal.lock().unwrap() = Some(StoreError::Busy);
    rig.shutdown.drain.cancel();
    settle_down().await;

    let_go(&rig);
    rig.scheduler.join_next().await.unwrap().unwrap().unwrap();

    assert_eq!(rig.job(second.id()).await.progress.state, JobState::Queued);
    let Some(First::Ended { ending, .. }) = second.first().now_or_never() else {
        panic!("nobody has told");
    };
    assert_eq!(ending, Ending::ShuttingDown);
}

#[tokio::test(start_paused = true)]
async fn the_claim_of_what_is_streamed_does_not_wait_for_the_end_of_the_run() {
    let rig = Rig::start().await;
    let gate = hold_first(&rig.fake);
    let mut tickets = vec![rig.submit(chat("a", "first")).await];
    while rig.handle.status().running.is_none() {
        settle_down().await;
    }
    for stream in [true, false] {
        let body = json!({"model": "a", "messages": [{"role": "user", "content": "next"}], "stream": stream});
        tickets.push(rig.submit(chat_with("a", &body)).await);
    }
    gate.notify_one();

    for ticket in tickets {
        text(ticket).await;
    }
    assert_eq!(*rig.store.begun.lock().unwrap(), [false, false, true]);
}
