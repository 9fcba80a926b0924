//! Jobs that are sent to the target while they are still being accepted.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use foreman_job::{Clock, Endpoint, JobId, Priority, RunnerKey, Timestamp};
use foreman_ollama::{FakeReply, ModelName, RecordedRequest};
use foreman_scheduler::{NewRequest, Scope, SeededRandom, SubmitError, Ticket};
use foreman_store::{IdempotencyKey, NewJob, QueueStore, StoreHealth, StoredRequest};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use crate::residency::list;
use crate::rig::*;

/// A scheduler that waits for a job, after one of model `a`.
pub(crate) async fn waiting() -> Rig {
    waiting_on(Rig::start().await).await
}

/// The same with a scheduler of the test's own.
pub(crate) async fn waiting_on(rig: Rig) -> Rig {
    rig.store.waits.store(true, Ordering::SeqCst);
    rig.fake.on("/api/chat", echo);
    text(rig.submit(chat("a", "first")).await).await;
    settle_down().await;
    rig
}

/// The ways in which the target answers: bit by bit, and in one piece.
const WAYS: [fn(&RecordedRequest) -> FakeReply; 2] = [echo, whole];

/// The same, with a target that answers in some way.
async fn waiting_for(way: fn(&RecordedRequest) -> FakeReply) -> Rig {
    let rig = waiting().await;
    rig.fake.on("/api/chat", way);
    rig
}

/// A job as the store is given it.
fn stored(model: &str, prompt: &str) -> NewJob {
    let body = json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
    let now = Timestamp::from_millis(1_000_000);
    NewJob {
        id: JobId::generate(now, &SeededRandom::new(99)),
        endpoint: Endpoint::Chat,
        model: model.to_owned(),
        runner: RunnerKey::new(&format!("{model}:latest"), ""),
        priority: Priority::Normal,
        caller: None,
        created_at: now,
        not_before: None,
        expires_at: None,
        request: StoredRequest {
            headers: [].into(),
            body: Bytes::from(body.to_string()),
        },
        idempotency: None,
        max_queue: None,
        retry_of: None,
        metadata: None,
    }
}

/// Waits until the target has so many chats.
pub(crate) async fn until_sent(rig: &Rig, chats: usize) {
    while rig.prompts().len() < chats {
        settle_down().await;
    }
}

/// Waits for something that happens before a future ends.
pub(crate) async fn meanwhile<T>(
    future: &mut (impl Future<Output = T> + Unpin),
    event: impl Future<Output = ()>,
) {
    tokio::select! {
        _ = future => panic!("it has ended too early"),
        () = event => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_job_is_at_the_target_before_it_is_accepted_and_is_sent_once() {
    for way in WAYS {
        let rig = waiting_for(way).await;
        rig.store.entries.forget_permits(usize::MAX);
        let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });

        meanwhile(&mut answer, until_sent(&rig, 2)).await;
        settle_down().await;
        assert_eq!(rig.store.counts().queued, 0);
        assert_eq!(rig.handle.status().running, None);

        rig.store.entries.add_permits(1);
        assert!(answer.await.contains("second"));
        assert_eq!(rig.prompts(), ["first", "second"]);
        assert_eq!(rig.store.counts().done, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_job_is_sent_by_who_brings_it_before_anybody_else_does_anything() {
    let rig = waiting().await;
    rig.store.entries.forget_permits(usize::MAX);
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });

    let is_answered = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_ready()));
    assert!(!is_answered.await);

    assert_eq!(rig.prompts(), ["first", "second"]);
    rig.store.entries.add_permits(1);
    assert!(answer.await.contains("second"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_claimed_before_the_worker_looks_is_sent_once() {
    let rig = waiting().await;

    // Accepted and claimed in the same step: the worker runs after both.
    assert!(
        text(rig.submit(chat("a", "second")).await)
            .await
            .contains("second")
    );

    assert_eq!(rig.prompts(), ["first", "second"]);
    assert_eq!(rig.fake.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_with_a_key_is_not_sent_before_its_claim_since_it_may_be_there_already() {
    let rig = waiting().await;
    rig.store.entries.forget_permits(usize::MAX);
    let keyed = NewRequest {
        idempotency: Some(IdempotencyKey {
            scope: "/api/chat".to_owned(),
            key: "k".to_owned(),
            request_hash: [7; 32],
        }),
        ..chat("a", "keyed")
    };
    let mut answer = Box::pin(async { text(rig.submit(keyed).await).await });
    meanwhile(&mut answer, settle_down()).await;
    assert_eq!(rig.prompts(), ["first"]);

    rig.store.entries.add_permits(1);
    assert!(answer.await.contains("keyed"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_rests_first_takes_nothing_from_the_next_one() {
    let rig = waiting().await;
    let later = NewRequest {
        not_before: Some(rig.clock.now().saturating_add(Duration::from_hours(1))),
        ..chat("a", "later")
    };
    let _later = rig.submit(later).await;
    rig.store.entries.forget_permits(usize::MAX);
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });

    meanwhile(&mut answer, until_sent(&rig, 2)).await;

    assert_eq!(rig.prompts(), ["first", "second"]);
    rig.store.entries.add_permits(1);
    assert!(answer.await.contains("second"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_while_another_is_accepted_is_not_sent_before_its_claim() {
    let rig = waiting().await;
    rig.store.entries.forget_permits(usize::MAX);
    let mut other = Box::pin(async { text(rig.submit(chat("b", "other")).await).await });
    meanwhile(&mut other, settle_down()).await;
    meanwhile(&mut other, until_offered_anew(&rig)).await;
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });

    meanwhile(&mut answer, settle_down()).await;

    assert_eq!(rig.prompts(), ["first"]);
    rig.store.entries.add_permits(2);
    let (other, answer) = tokio::join!(other, answer);
    assert!(other.contains("other") && answer.contains("second"));
}

/// Waits until the worker waits with an offer once more: what it waits with is made anew when the
/// poller has read a list.
async fn until_offered_anew(rig: &Rig) {
    tokio::time::sleep(Duration::from_secs(5)).await;
    list(rig, Some("a:latest"));
    rig.inventory.refresh().await.unwrap();
    settle_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_while_many_are_accepted_is_not_sent_before_its_claim() {
    let rig = waiting().await;
    rig.store.entries.forget_permits(usize::MAX);
    let many = vec![chat("b", "one of many"), chat("b", "another")];
    let mut made = Box::pin(rig.handle.submit_all_detached(many));
    meanwhile(&mut made, settle_down()).await;
    meanwhile(&mut made, until_offered_anew(&rig)).await;
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });

    meanwhile(&mut answer, settle_down()).await;

    assert_eq!(rig.prompts(), ["first"]);
    rig.store.entries.add_permits(3);
    let (made, answer) = tokio::join!(made, answer);
    assert!(made.iter().all(Result::is_ok) && answer.contains("second"));
    until_sent(&rig, 4).await;
    assert_eq!(rig.fake.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_right_after_many_is_not_sent_before_one_of_them() {
    let rig = waiting().await;
    let many = vec![chat("a", "one of many")];
    let (made, answer) = tokio::join!(rig.handle.submit_all_detached(many), async {
        text(rig.submit(chat("a", "second")).await).await
    });

    assert!(made.iter().all(Result::is_ok) && answer.contains("second"));
    assert_eq!(rig.prompts(), ["first", "one of many", "second"]);
    assert_eq!(rig.fake.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_that_rest_first_take_nothing_from_the_next_one() {
    let rig = waiting().await;
    let later = NewRequest {
        not_before: Some(rig.clock.now().saturating_add(Duration::from_hours(1))),
        ..chat("a", "later")
    };
    let made = rig.handle.submit_all_detached(vec![later]).await;
    assert!(made.iter().all(Result::is_ok));
    rig.store.entries.forget_permits(usize::MAX);
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });

    meanwhile(&mut answer, settle_down()).await;

    assert_eq!(rig.prompts(), ["first", "second"]);
    rig.store.entries.add_permits(1);
    assert!(answer.await.contains("second"));
}

#[tokio::test(start_paused = true)]
async fn no_job_is_sent_before_its_claim_while_the_store_takes_none() {
    let rig = waiting().await;
    let reason = "no room".to_owned();
    let health = &rig.store.health;
    health.send_replace(StoreHealth::IntakeClosed { reason });
    rig.store.entries.forget_permits(usize::MAX);
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });

    meanwhile(&mut answer, settle_down()).await;

    assert_eq!(rig.prompts(), ["first"]);
    rig.store.entries.add_permits(1);
    assert!(answer.await.contains("second"));
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_paused_model_is_not_sent() {
    let rig = waiting().await;
    let model = ModelName::parse("a").unwrap();
    let snapshot = rig.inventory.snapshot();
    let paused = rig.handle.pause(Scope::Model(&model), &snapshot);
    paused.await.unwrap();
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });
    meanwhile(&mut answer, settle_down()).await;
    assert_eq!(rig.prompts(), ["first"]);

    rig.handle.resume(Scope::Model(&model)).await.unwrap();
    assert!(answer.await.contains("second"));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_answered_and_is_refused_then_was_never_there() {
    let rig = waiting_for(whole).await;
    rig.store.entries.forget_permits(usize::MAX);
    let mut refused = Box::pin(rig.try_submit(chat("a", "refused")));
    meanwhile(&mut refused, until_sent(&rig, 2)).await;
    settle_down().await;

    rig.store.closed.store(true, Ordering::SeqCst);
    rig.store.entries.add_permits(2);
    assert!(matches!(refused.await, Err(SubmitError::Store { .. })));

    rig.store.closed.store(false, Ordering::SeqCst);
    let next = text(rig.submit(chat("a", "next")).await).await;
    assert!(next.contains("next"));
    assert_eq!(rig.prompts(), ["first", "refused", "next"]);
    assert_eq!(rig.store.counts().done, 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_refused_is_taken_back_from_the_target() {
    let rig = waiting().await;
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    rig.fake.on("/api/chat", move |request| {
        echo(request).when(Arc::clone(&held))
    });
    rig.store.entries.forget_permits(usize::MAX);
    let mut refused = Box::pin(rig.try_submit(chat("a", "refused")));
    meanwhile(&mut refused, until_sent(&rig, 2)).await;

    rig.store.closed.store(true, Ordering::SeqCst);
    rig.store.entries.add_permits(2);
    assert!(matches!(refused.await, Err(SubmitError::Store { .. })));
    rig.fake.until_dropped(1).await;

    rig.store.closed.store(false, Ordering::SeqCst);
    rig.fake.on("/api/chat", echo);
    assert!(
        text(rig.submit(chat("a", "next")).await)
            .await
            .contains("next")
    );
    assert_eq!(rig.prompts(), ["first", "refused", "next"]);
}

#[tokio::test(start_paused = true)]
async fn no_job_gets_the_answer_of_another_one_that_was_begun() {
    for way in WAYS {
        let rig = waiting_for(way).await;
        rig.store.entries.forget_permits(usize::MAX);
        let mut slow = Box::pin(async { text(rig.submit(chat("a", "slow")).await).await });
        meanwhile(&mut slow, until_sent(&rig, 2)).await;
        settle_down().await;

        let other = stored("a", "other");
        let id = other.id;
        rig.store.accept_at_once(other).await.unwrap();
        rig.until_done(2).await;
        rig.store.entries.add_permits(1);

        assert!(slow.await.contains("slow"));
        assert_eq!(rig.prompts(), ["first", "slow", "other", "slow"]);
        let answer = rig.store.answer(id).await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&answer.chunks.concat()).contains("other"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_that_takes_longer_than_the_claim_waits_is_answered_all_the_same() {
    for way in WAYS {
        let rig = waiting_for(way).await;
        rig.store.entries.forget_permits(usize::MAX);
        let mut answer = Box::pin(async { text(rig.submit(chat("a", "second")).await).await });
        meanwhile(&mut answer, until_sent(&rig, 2)).await;
        meanwhile(&mut answer, tokio::time::sleep(Duration::from_mins(1))).await;

        rig.store.entries.add_permits(1);
        assert!(answer.await.contains("second"));
        assert_eq!(rig.prompts(), ["first", "second", "second"]);
        assert_eq!(rig.store.counts().done, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_before_its_job_is_sent_to_the_store_leaves_nothing() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);
    rig.store.entries.forget_permits(usize::MAX);
    let of_ann = || NewRequest {
        caller: Some("ann".to_owned()),
        max_queued: Some(1),
        ..chat("a", "x")
    };
    let mut left = Box::pin(rig.try_submit(of_ann()));
    meanwhile(&mut left, settle_down()).await;
    drop(left);
    settle_down().await;

    rig.store.entries.add_permits(1);
    assert!(rig.try_submit(of_ann()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_job_of_another_model_is_not_sent_before_its_claim() {
    let rig = waiting().await;
    rig.store.entries.forget_permits(usize::MAX);
    let mut answer = Box::pin(async { text(rig.submit(chat("b", "second")).await).await });
    meanwhile(&mut answer, settle_down()).await;
    assert_eq!(rig.prompts(), ["first"]);

    rig.store.entries.add_permits(1);
    assert!(answer.await.contains("second"));
}

#[tokio::test(start_paused = true)]
async fn the_first_job_of_a_life_is_not_sent_before_its_claim() {
    let rig = Rig::start().await;
    rig.store.waits.store(true, Ordering::SeqCst);
    rig.fake.on("/api/chat", echo);
    rig.store.entries.forget_permits(usize::MAX);
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "first")).await).await });
    meanwhile(&mut answer, settle_down()).await;
    assert_eq!(rig.prompts(), Vec::<String>::new());

    rig.store.entries.add_permits(1);
    assert!(answer.await.contains("first"));
}

/// A scheduler that runs a job, with two more that wait and whose claims are held.
async fn with_two_behind(rig: &Rig) -> [Ticket; 3] {
    let gate = hold_first(&rig.fake);
    let first = rig.submit(chat("a", "one")).await;
    while rig.handle.status().running.is_none() {
        settle_down().await;
    }
    let second = rig.submit(chat("a", "two")).await;
    let third = rig.submit(chat("a", "three")).await;
    rig.store.claims.forget_permits(usize::MAX);
    gate.notify_one();
    [first, second, third]
}

#[tokio::test(start_paused = true)]
async fn the_next_job_is_sent_when_the_last_one_has_ended_whatever_its_claim_takes() {
    let rig = waiting().await;
    let tickets = with_two_behind(&rig).await;

    until_sent(&rig, 3).await;
    assert_eq!(rig.store.counts().loading, 0);
    rig.store.claims.add_permits(Semaphore::MAX_PERMITS);

    for (ticket, said) in tickets.into_iter().zip(["one", "two", "three"]) {
        assert!(text(ticket).await.contains(said));
    }
    assert_eq!(rig.prompts(), ["first", "one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_cancelled_before_its_claim_is_taken_back_from_the_target() {
    let rig = waiting().await;
    let [first, second, third] = with_two_behind(&rig).await;
    assert!(text(first).await.contains("one"));
    let gate = Arc::new(Notify::new());
    rig.fake
        .on("/api/chat", move |request| match prompt(request).as_str() {
            "two" => echo(request).when(Arc::clone(&gate)),
            _ => echo(request),
        });
    until_sent(&rig, 3).await;

    rig.handle.cancel(second.id()).await.unwrap();
    rig.store.claims.add_permits(Semaphore::MAX_PERMITS);

    rig.fake.until_dropped(1).await;
    assert!(text(third).await.contains("three"));
    assert_eq!(rig.prompts(), ["first", "one", "two", "three"]);
}
