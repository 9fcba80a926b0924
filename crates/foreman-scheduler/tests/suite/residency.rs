//! What the worker takes for loaded after a rest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foreman_ollama::{ErrorKind, FakeOllama, FakeReply, KeepAlive, TargetError};
use foreman_scheduler::SchedulerConfig;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::early::{meanwhile, until_sent, waiting, waiting_on};
use crate::rig::*;

/// Longer than a reading is taken as current where there is something to choose.
const REST: Duration = Duration::from_secs(20);

/// Lets the target list one model as loaded, or none.
pub(crate) fn list(rig: &Rig, model: Option<&str>) {
    let models: Vec<Value> = model
        .map(|name| json!({"name": name, "model": name, "digest": "", "size": 1}))
        .into_iter()
        .collect();
    let body = json!({ "models": models }).to_string();
    let reply = move |_: &_| FakeReply::json(StatusCode::OK, body.clone());
    rig.fake.on("/api/ps", reply);
}

fn readings(rig: &Rig) -> usize {
    rig.fake.requests_to("/api/ps").len()
}

/// Tells whether the next job of model `a` is sent before it is accepted; it is answered anyway.
async fn is_sent_early(rig: &Rig) -> bool {
    let before = rig.prompts().len();
    rig.store.entries.forget_permits(usize::MAX);
    let mut answer = Box::pin(async { text(rig.submit(chat("a", "next")).await).await });
    meanwhile(&mut answer, settle_down()).await;
    let is_early = rig.prompts().len() > before;
    rig.store.entries.add_permits(1);
    assert!(answer.await.contains("next"));
    assert_eq!(rig.prompts().len(), before + 1);
    is_early
}

#[tokio::test(start_paused = true)]
async fn after_a_rest_a_job_of_the_model_in_use_is_sent_at_once_and_nothing_is_read() {
    let rig = waiting().await;
    let before = readings(&rig);
    tokio::time::sleep(REST).await;

    assert!(is_sent_early(&rig).await);
    assert_eq!(readings(&rig), before);
}

#[tokio::test(start_paused = true)]
async fn after_work_beside_the_jobs_and_a_rest_the_list_is_read_before_the_next_job() {
    let rig = waiting().await;
    let before = readings(&rig);
    rig.handle.note_work_beside_jobs();
    tokio::time::sleep(REST).await;

    assert!(!is_sent_early(&rig).await);
    assert_eq!(readings(&rig), before + 1);
    assert_eq!(rig.handle.status().swaps, 2, "the list is empty");

    // What was read is as good as any reading.
    list(&rig, Some("a:latest"));
    tokio::time::sleep(REST / 4).await;
    assert!(is_sent_early(&rig).await);
}

#[tokio::test(start_paused = true)]
async fn what_the_poller_reads_while_no_job_waits_is_taken_over() {
    let rig = waiting().await;
    list(&rig, Some("b:latest"));
    tokio::time::sleep(REST).await;
    rig.inventory.refresh().await.unwrap();
    settle_down().await;
    let before = readings(&rig);

    assert!(!is_sent_early(&rig).await);
    assert_eq!(readings(&rig), before);
    assert_eq!(rig.handle.status().swaps, 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_may_be_older_than_the_last_answer_is_not_taken_over() {
    let rig = waiting().await;
    rig.inventory.refresh().await.unwrap();
    settle_down().await;

    assert!(is_sent_early(&rig).await);
    assert_eq!(rig.handle.status().swaps, 1);
}

#[tokio::test(start_paused = true)]
async fn with_a_poller_that_sees_the_model_every_rest_ends_at_once() {
    let rig = waiting().await;
    list(&rig, Some("a:latest"));
    tokio::time::sleep(Duration::from_hours(1)).await;

    assert!(is_sent_early(&rig).await);
    assert_eq!(rig.handle.status().swaps, 1);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_fails_says_nothing_of_what_is_loaded() {
    let rig = waiting().await;
    tokio::time::sleep(REST).await;
    let away = TargetError::new(ErrorKind::Refused, "testing");
    rig.inventory.note_unreachable(&away);
    settle_down().await;

    assert!(is_sent_early(&rig).await);
}

#[tokio::test(start_paused = true)]
async fn a_model_is_taken_for_loaded_as_long_as_its_keep_alive_from_its_last_answer() {
    let config = SchedulerConfig {
        keep_alive: KeepAlive::For(Duration::from_secs(10)),
        ..config()
    };
    let rig = waiting_on(Rig::with(FakeOllama::new(), config).await).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert!(is_sent_early(&rig).await);
    }
    tokio::time::sleep(Duration::from_secs(11)).await;

    assert!(!is_sent_early(&rig).await);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_its_last_caller_wanted_to_go_is_not_taken_for_loaded() {
    let rig = waiting().await;
    rig.fake.on("/api/generate", |_| {
        FakeReply::json(StatusCode::OK, r#"{"done":true}"#)
    });
    let body = json!({"model": "a", "keep_alive": 0,
        "messages": [{"role": "user", "content": "second"}]});
    text(rig.submit(chat_with("a", &body)).await).await;
    until_sent(&rig, 2).await;
    settle_down().await;
    assert_eq!(rig.fake.requests_to("/api/generate").len(), 1);
    tokio::time::sleep(REST).await;

    assert!(!is_sent_early(&rig).await);
    assert_eq!(rig.handle.status().swaps, 2);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_job_the_poller_is_taken_at_its_word() {
    let rig = Rig::start().await;
    rig.store.waits.store(true, Ordering::SeqCst);
    rig.fake.on("/api/chat", echo);
    list(&rig, Some("a:latest"));
    rig.inventory.refresh().await.unwrap();
    settle_down().await;
    let before = readings(&rig);
    tokio::time::sleep(REST).await;

    text(rig.submit(chat("a", "first")).await).await;

    assert_eq!(readings(&rig), before);
    assert_eq!(rig.handle.status().swaps, 0);
}

/// Has a job of model `a` refused, which tells nothing of what is loaded; its answer waits for the
/// gate.
async fn refused(rig: &Rig, gate: &Arc<Notify>, meanwhile: impl Future<Output = ()>) {
    let words = r#"{"error":"no"}"#;
    let reply = FakeReply::json(StatusCode::BAD_REQUEST, words).when(Arc::clone(gate));
    rig.fake.queue("/api/chat", reply);
    let ticket = rig.submit(chat("a", "refused")).await;
    settle_down().await;
    meanwhile.await;
    gate.notify_one();
    assert_eq!(text(ticket).await, words);
}

#[tokio::test(start_paused = true)]
async fn after_a_job_that_failed_the_poller_is_taken_at_its_word() {
    let rig = waiting().await;
    list(&rig, Some("a:latest"));
    refused(&rig, &Arc::default(), async {}).await;
    tokio::time::sleep(REST).await;
    rig.inventory.refresh().await.unwrap();
    settle_down().await;
    let before = readings(&rig);

    assert!(is_sent_early(&rig).await);
    assert_eq!(readings(&rig), before);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_job_had_failed_is_not_taken_over() {
    let rig = waiting().await;
    list(&rig, Some("a:latest"));
    let read = async {
        rig.inventory.refresh().await.unwrap();
    };
    refused(&rig, &Arc::default(), read).await;
    tokio::time::sleep(REST / 4).await;
    let before = readings(&rig);

    assert!(!is_sent_early(&rig).await);
    assert_eq!(readings(&rig), before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_read_before_a_job_had_failed_is_not_taken_over() {
    let rig = waiting().await;
    list(&rig, Some("a:latest"));
    refused(&rig, &Arc::default(), async {}).await;
    rig.inventory.refresh().await.unwrap();
    settle_down().await;
    let before = readings(&rig);

    assert!(!is_sent_early(&rig).await);
    assert_eq!(readings(&rig), before + 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_job_was_cut_off_is_not_taken_over_after_a_long_look() {
    let rig = waiting().await;
    list(&rig, Some("a:latest"));
    let gate = Arc::new(Notify::new());
    let cut = FakeReply::error(ErrorKind::ClosedBeforeHead).when(Arc::clone(&gate));
    rig.fake.queue("/api/chat", cut);
    let body = json!({"model": "a", "messages": [{"role": "user", "content": "cut off"}]});
    let ticket = rig.submit(chat_with("a", &body)).await;
    settle_down().await;
    rig.inventory.refresh().await.unwrap();
    rig.fake.on("/api/version", |_| {
        FakeReply::json(StatusCode::OK, r#"{"version":"0"}"#).after(Duration::from_secs(3))
    });
    gate.notify_one();
    drop(ticket);
    tokio::time::sleep(REST / 4).await;
    let before = readings(&rig);

    assert!(!is_sent_early(&rig).await);
    assert_eq!(readings(&rig), before + 1);
}
