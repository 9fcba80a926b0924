//! Traps in what makes two jobs fit the same loaded model.

use foreman_stub::{Hold, ModelSpec};
use foreman_tests::{Exchange, Foreman, Pair, chat, stub};
use serde_json::{Value, json};

use super::{bodies, figure, queued};
use crate::{A, B, foreman};

/// Submits these while the first of them holds the target, and returns when all are done.
async fn all_at_once(pair: &Pair, jobs: &[(&str, Value)]) {
    let Pair { stub, foreman } = pair;
    let gate = stub.hold(Hold::before_first_token());
    let mut waiting = Vec::new();
    for (n, (path, body)) in jobs.iter().enumerate() {
        waiting.push(Exchange::post(foreman.url(), path, body).await);
        if n == 0 {
            gate.reached().await;
        }
        queued(foreman, n).await;
    }
    gate.release();
    for exchange in waiting {
        assert_eq!(exchange.reply().await.status(), 200);
    }
}

fn sized(context: u64) -> Value {
    let mut body = chat(A, "hi");
    body["options"] = json!({"num_ctx": context});
    body
}

async fn swaps(foreman: &Foreman) -> Option<f64> {
    figure(foreman, "foreman_swaps_total ").await
}

#[tokio::test]
async fn trap_06_two_names_of_one_model_need_no_swap_and_no_load() {
    let model = ModelSpec::chat("one:1b");
    let stub = stub()
        .model(ModelSpec::alias_of(&model, "two:1b"))
        .model(model)
        .max_loaded(1);
    let pair = Pair::start(stub, foreman()).await;
    let jobs = ["one:1b", "two:1b", "one:1b", "two:1b"].map(|name| ("/api/chat", chat(name, "hi")));

    all_at_once(&pair, &jobs).await;

    assert_eq!(pair.stub.counts().loads, 1);
    assert_eq!(swaps(&pair.foreman).await, Some(1.0));
    let order: Vec<Value> = bodies(&pair.stub, "/api/chat");
    let order: Vec<&str> = order
        .iter()
        .map(|body| body["model"].as_str().unwrap())
        .collect();
    assert_eq!(
        order,
        ["one:1b", "two:1b", "one:1b", "two:1b"],
        "the order of arrival"
    );
}

#[tokio::test]
async fn trap_07_other_load_options_are_another_runner() {
    let pair = Pair::start(stub().max_loaded(1), foreman()).await;
    let plain = || ("/api/chat", chat(A, "hi"));
    let large = || ("/api/chat", sized(8192));

    all_at_once(&pair, &[plain(), large(), plain(), large(), plain()]).await;

    assert_eq!(
        pair.stub.counts().loads,
        2,
        "plain ones first, then large ones"
    );
}

#[tokio::test]
async fn trap_08_jobs_that_cannot_say_options_are_drained_together() {
    let pair = Pair::start(stub().max_loaded(1), foreman()).await;
    let large = || ("/api/chat", sized(8192));
    let silent = || ("/v1/chat/completions", chat(A, "hi"));

    all_at_once(&pair, &[large(), silent(), large(), silent(), large()]).await;

    assert_eq!(
        pair.stub.counts().loads,
        2,
        "one reload for all that say nothing"
    );
}

#[tokio::test]
async fn trap_30_a_callers_keep_alive_waits_for_the_end_of_the_drain() {
    let pair = Pair::start(stub().max_loaded(1), foreman()).await;
    let mut pinned = chat(A, "hi");
    pinned["keep_alive"] = json!(-1);

    all_at_once(
        &pair,
        &[
            ("/api/chat", pinned.clone()),
            ("/api/chat", chat(B, "other")),
            ("/api/chat", pinned),
        ],
    )
    .await;

    let sent = bodies(&pair.stub, "/api/chat");
    assert_eq!(sent.len(), 3);
    for body in sent {
        assert_ne!(body["keep_alive"], -1, "{body}");
    }
    assert_eq!(pair.stub.record().loaded_models(), [A, B]);
}

#[tokio::test]
async fn trap_32_a_zero_within_a_drain_unloads_at_its_end() {
    let pair = Pair::start(stub(), foreman()).await;
    let mut last = chat(A, "hi");
    last["keep_alive"] = json!(0);
    let jobs = [last.clone(), chat(A, "more"), last].map(|body| ("/api/chat", body));

    all_at_once(&pair, &jobs).await;

    assert_eq!(pair.stub.counts().loads, 1, "no load in the middle");
    foreman_tests::eventually("the model to go", || async {
        pair.stub.resident().is_empty()
    })
    .await;
}

#[tokio::test]
async fn trap_33_an_unload_is_answered_at_once_and_done_when_nobody_needs_the_model() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;
    let waiting = Exchange::post(foreman.url(), "/api/chat", &chat(A, "waiting")).await;
    queued(&foreman, 1).await;

    let unload = foreman
        .post("/api/generate", &json!({"model": A, "keep_alive": 0}))
        .await;

    assert_eq!(unload.json()["done_reason"], "unload");
    assert_eq!(stub.resident(), [A], "somebody needs it");
    gate.release();
    assert_eq!(running.reply().await.status(), 200);
    assert_eq!(waiting.reply().await.status(), 200);
    assert_eq!(stub.counts().loads, 1);
    foreman_tests::eventually("the model to go", || async { stub.resident().is_empty() }).await;
}
