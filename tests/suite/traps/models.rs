//! Traps in what is loaded, pinned or somewhere else.

use foreman_stub::{Hold, ModelSpec};
use foreman_tests::{Exchange, Pair, chat, eventually, stub};
use serde_json::{Value, json};

use super::post;
use crate::{A, B, C, EMBEDDER, content, foreman};

#[tokio::test]
async fn trap_27_nothing_is_listed_during_a_load_and_nothing_follows_from_it() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman().set("POLL_INTERVAL", "100ms")).await;
    let gate = stub.hold(Hold::load());
    let loading = Exchange::post(foreman.url(), "/api/chat", &chat(A, "hi")).await;
    gate.reached().await;
    let polls = stub.record().on("/api/tags").count();

    assert_eq!(foreman.get("/api/ps").await.json(), json!({"models": []}));
    stub.wait_for("some polls", |record| {
        record.on("/api/tags").count() > polls + 3
    })
    .await
    .unwrap();
    assert_eq!(stub.record().on("/api/chat").count(), 1);
    assert_eq!(stub.counts().loads, 1);
    gate.release();
    assert_eq!(content(&loading.reply().await.json()), "echo: hi");
}

#[tokio::test]
async fn trap_28_a_pin_of_292_years_in_any_zone_is_seen_as_a_pin() {
    let settings = foreman()
        .set("EMBED_MODEL", EMBEDDER)
        .set("POLL_INTERVAL", "100ms");
    let Pair { stub, foreman } = Pair::start(stub().utc_offset(-7), settings).await;
    stub.wait_for("the warming", |record| record.on("/api/embed").count() == 1)
        .await
        .unwrap();
    let ps = foreman.get("/api/ps").await.text();
    assert!(
        ps.contains(r#""expires_at":"2319-"#) && ps.contains("-07:00"),
        "{ps}"
    );

    let polls = stub.record().on("/api/ps").count() + stub.record().on("/api/tags").count();
    stub.wait_for("some polls", |record| {
        record.on("/api/ps").count() + record.on("/api/tags").count() > polls + 6
    })
    .await
    .unwrap();

    assert_eq!(
        stub.record().on("/api/embed").count(),
        1,
        "it was pinned all the time"
    );
    assert_eq!(foreman.health().await["status"], "ok");
}

#[tokio::test]
async fn trap_29_an_embedder_that_was_evicted_is_pinned_again_after_the_next_swap() {
    let settings = foreman().set("EMBED_MODEL", EMBEDDER);
    let Pair { stub, foreman } = Pair::start(stub().max_loaded(2), settings).await;
    stub.wait_for("the warming", |record| record.on("/api/embed").count() == 1)
        .await
        .unwrap();
    let gate = stub.hold(Hold::before_first_token().for_model(A));
    let busy = Exchange::post(foreman.url(), "/api/chat", &chat(A, "busy")).await;
    gate.reached().await;
    // Somebody else asks for a third model while the chat model is busy.
    let stranger = post(
        &stub.url(),
        "/api/chat",
        chat(C, "mine").to_string().as_bytes(),
    )
    .await;
    assert_eq!(stranger.status(), 200);
    assert!(!stub.resident().contains(&EMBEDDER.to_owned()));
    gate.release();
    assert_eq!(busy.reply().await.status(), 200);

    assert_eq!(
        foreman.post("/api/chat", &chat(B, "a swap")).await.status(),
        200
    );

    stub.wait_for("the second warming", |record| {
        record.on("/api/embed").count() >= 2
    })
    .await
    .unwrap();
    eventually("the embedder", || async {
        stub.resident().contains(&EMBEDDER.to_owned())
    })
    .await;
}

#[tokio::test]
async fn trap_35_models_that_run_elsewhere_pass_by_the_queue() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;
    for model in ["big:cloud", "big:120b-cloud"] {
        for path in ["/api/chat", "/v1/chat/completions"] {
            let body = chat(model, "hi").to_string();
            let direct = post(&stub.url(), path, body.as_bytes()).await;
            let through = post(foreman.url(), path, body.as_bytes()).await;

            assert_eq!(through.status(), 403, "{path} {model}");
            assert_eq!(through.text(), direct.text(), "{path} {model}");
        }
    }
    assert_eq!(foreman.health().await["queue"]["queued"], 0);
    gate.release();
    assert_eq!(running.reply().await.status(), 200);
}

#[tokio::test]
async fn trap_51_embeddings_need_no_turn_but_share_a_runner_that_is_busy() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token().on_path("/api/chat"));
    let chatting = Exchange::post(foreman.url(), "/api/chat", &chat(A, "busy")).await;
    gate.reached().await;

    let other = foreman
        .post("/api/embed", &json!({"model": EMBEDDER, "input": "x"}))
        .await;
    assert_eq!(other.status(), 200, "a load beside the running chat");
    let same = json!({"model": A, "input": "x"});
    let same = Exchange::post(foreman.url(), "/api/embed", &same).await;
    stub.wait_for("the embedding at the target", |record| {
        record.counts.open_embeds == 1
    })
    .await
    .unwrap();
    assert_eq!(foreman.health().await["queue"]["queued"], 0);

    gate.release();
    assert_eq!(chatting.reply().await.status(), 200);
    assert_eq!(same.reply().await.status(), 200);
}

#[tokio::test]
async fn trap_60_the_order_of_the_list_means_nothing() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman().set("POLL_INTERVAL", "100ms")).await;
    let names = |list: &Value| -> Vec<String> {
        let models = list["models"].as_array().unwrap().iter();
        models.map(|model| model["name"].to_string()).collect()
    };
    let before = names(&foreman.get("/api/tags").await.json());
    // What is added again is the newest, and comes first.
    let last = ModelSpec::embedding(EMBEDDER);
    stub.add_model(last).unwrap();
    eventually("another order", || async {
        names(&foreman.get("/api/tags").await.json()) != before
    })
    .await;

    let after = names(&foreman.get("/api/tags").await.json());
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(after), sorted(before));
    for model in [A, B, C] {
        let reply = foreman.post("/api/chat", &chat(model, "known")).await;
        assert_eq!(reply.status(), 200, "{model}");
    }
}
