//! The promises that foreman was built for, each as one test.

use std::time::Duration;

use foreman_stub::{Fault, FaultRule, Hold};
use foreman_tests::{Exchange, Pair, chat, chat_stream, eventually, stub};
use serde_json::{Value, json};

use crate::{A, B, EMBEDDER, content, foreman};

#[tokio::test]
async fn tags_and_ps_are_the_targets_own() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    foreman.post("/api/chat", &chat(A, "load it")).await;

    for path in ["/api/tags", "/api/ps", "/api/version", "/v1/models"] {
        let direct = Exchange::get(&stub.url(), path).await.reply().await;
        let through = foreman.get(path).await;
        assert_eq!(through.status(), 200, "{path}");
        assert_eq!(through.text(), direct.text(), "{path}");
        assert_eq!(
            through.head.header("content-type"),
            direct.head.header("content-type"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_unknown_model_is_rejected_after_exactly_one_fresh_poll() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let polls = stub.record().on("/api/tags").count();

    let reply = foreman.post("/api/chat", &chat_stream("nope", "hi")).await;

    assert_eq!(reply.status(), 404);
    assert_eq!(reply.text(), r#"{"error":"model 'nope' not found"}"#);
    assert_eq!(stub.record().on("/api/tags").count(), polls + 1);
    assert_eq!(stub.record().on("/api/chat").count(), 0);
}

#[tokio::test]
async fn a_model_that_was_added_since_the_last_poll_is_found() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    stub.add_model(foreman_stub::ModelSpec::chat("new:1b"))
        .unwrap();

    let reply = foreman.post("/api/chat", &chat("NEW:1B", "hi")).await;

    assert_eq!(reply.status(), 200);
    assert_eq!(reply.json()["model"], "NEW:1B");
}

#[tokio::test]
async fn chunks_pass_through_unmerged_and_unsplit() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let body = chat_stream(A, "stub:tokens=200 one two three");
    let variable = ["created_at", "total_duration", "load_duration"];
    let comparable = |chunk: &Vec<u8>| {
        let text = std::str::from_utf8(chunk).unwrap();
        assert!(
            text.ends_with('\n') && text.matches('\n').count() == 1,
            "{text:?}"
        );
        let mut line: Value = serde_json::from_str(text).unwrap();
        for field in variable {
            line.as_object_mut().unwrap().remove(field);
        }
        line
    };

    let direct = Exchange::post(&stub.url(), "/api/chat", &body)
        .await
        .reply()
        .await;
    let through = foreman.post("/api/chat", &body).await;

    let direct: Vec<Value> = direct.chunks.iter().map(comparable).collect();
    let chunks: Vec<Value> = through.chunks.iter().map(comparable).collect();
    assert_eq!(direct.len(), 201);
    assert_eq!(chunks, direct);
    assert!(through.clean);
}

#[tokio::test]
async fn a_line_of_many_packets_arrives_as_one_chunk() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let long = "word".repeat(100_000);
    let trickle = Fault::Trickle {
        bytes: 16_384,
        pause: Duration::from_millis(1),
    };
    stub.inject(FaultRule::once(trickle).on_path("/api/chat"));

    let reply = foreman.post("/api/chat", &chat_stream(A, &long)).await;

    assert_eq!(reply.chunks.len(), 3, "echo, the word, the end");
    assert!(reply.clean);
}

#[tokio::test]
async fn twenty_embeds_overlap_while_chats_never_do() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let chats = stub.hold(Hold::before_first_token().on_path("/api/chat"));
    let embeds = stub.hold(Hold::before_first_token().on_path("/api/embed"));
    let mut chatting = Vec::new();
    for n in 0..5 {
        let body = chat(A, &format!("chat {n}"));
        chatting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }
    chats.reached().await;

    let mut embedding = Vec::new();
    for n in 0..20 {
        let body = json!({"model": EMBEDDER, "input": format!("text {n}")});
        embedding.push(Exchange::post(foreman.url(), "/api/embed", &body).await);
    }
    stub.wait_for("twenty open embeds", |record| {
        record.counts.open_embeds == 20
    })
    .await
    .unwrap();
    embeds.release();
    for exchange in embedding {
        assert_eq!(exchange.reply().await.status(), 200);
    }
    assert_eq!(
        stub.counts().max_open_generations,
        1,
        "a second chat was sent"
    );
    chats.release();
    for exchange in chatting {
        assert_eq!(exchange.reply().await.status(), 200);
    }

    assert_eq!(stub.counts().max_open_embeds, 20);
    assert_eq!(stub.counts().max_open_generations, 1);
}

#[tokio::test]
async fn an_unreachable_target_degrades_and_its_recovery_warms_the_embedder_again() {
    let settings = foreman()
        .set("EMBED_MODEL", EMBEDDER)
        .set("POLL_INTERVAL", "100ms");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    let warmed = |count: usize| {
        move |record: &foreman_stub::Record| record.on("/api/embed").count() == count
    };
    stub.wait_for("the first warming", warmed(1)).await.unwrap();
    let tags = foreman.get("/api/tags").await.text();

    stub.stop_listening().await;
    eventually("degraded health", || async {
        let health = foreman.health().await;
        health["target"]["degraded"] == true && health["status"] == "degraded"
    })
    .await;
    assert_eq!(
        foreman.get("/api/tags").await.text(),
        tags,
        "the inventory is kept"
    );
    let ps = foreman.get("/api/ps").await;
    assert_eq!((ps.status(), ps.json()), (200, json!({"models": []})));
    assert_eq!(ps.head.header("x-foreman-target"), Some("unreachable"));
    stub.unload_all();
    stub.resume_listening().await.unwrap();

    stub.wait_for("the second warming", warmed(2))
        .await
        .unwrap();
    eventually("health", || async {
        foreman.health().await["status"] == "ok"
    })
    .await;
    let pinned = stub.record();
    let bodies: Vec<String> = pinned
        .on("/api/embed")
        .map(foreman_stub::RequestRecord::body_text)
        .collect();
    assert!(bodies.iter().all(|body| body.contains("-1")), "{bodies:?}");
}

#[tokio::test]
async fn a_target_with_one_slot_is_warned_about() {
    let settings = foreman().set("EMBED_MODEL", EMBEDDER);
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub().max_loaded(1), settings).await;

    foreman.post("/api/chat", &chat(A, "hi")).await;

    foreman
        .log()
        .until("the warning", |lines| {
            lines.iter().any(|line| {
                let text = line["message"].as_str().unwrap_or_default();
                line["level"] == "WARN" && text.contains("OLLAMA_MAX_LOADED_MODELS=2")
            })
        })
        .await;
}

#[tokio::test]
async fn jobs_are_durable_before_they_run_and_run_one_by_one() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let mut waiting = Vec::new();
    for n in 0..10 {
        let body = chat(A, &format!("number {n}"));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }
    gate.reached().await;
    let database = foreman.database();
    eventually("ten rows", || async {
        let rows = rusqlite::Connection::open(&database).unwrap();
        let count: i64 = rows
            .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
            .unwrap();
        count == 10
    })
    .await;
    gate.release();

    for (n, exchange) in waiting.into_iter().enumerate() {
        let answer = exchange.reply().await.json();
        assert!(
            content(&answer).contains(&format!("number {n}")),
            "{answer}"
        );
    }

    assert_eq!(stub.counts().max_open_generations, 1);
}

#[tokio::test]
async fn forty_jobs_of_two_mixed_models_swap_exactly_once() {
    // Room for one model: every change of the model is a load.
    let Pair { stub, foreman } = Pair::start(stub().max_loaded(1), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let mut waiting = Vec::new();
    for n in 0..40 {
        let model = if n % 2 == 0 { A } else { B };
        let body = chat(model, &format!("number {n}"));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
        if n == 0 {
            gate.reached().await;
        }
    }
    eventually("a queue of 39", || async {
        foreman.health().await["queue"]["queued"] == 39
    })
    .await;
    gate.release();
    for (n, exchange) in waiting.into_iter().enumerate() {
        let answer = exchange.reply().await.json();
        assert!(
            content(&answer).contains(&format!("number {n}")),
            "{answer}"
        );
    }

    let record = stub.record();
    assert_eq!(record.loaded_models(), [A, B]);
    assert_eq!(record.counts.swaps, 1);
    let swap = foreman
        .log()
        .lines()
        .into_iter()
        .find(|line| line["drained"] == 20)
        .unwrap();
    assert!(swap["load_ms"].is_u64(), "{swap}");
}

#[tokio::test]
async fn a_flapping_target_costs_nobody_an_answer_and_nobody_gets_two() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let mut waiting = Vec::new();
    for n in 0..30 {
        let body = chat(A, &format!("number {n}."));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }
    for flap in 1..=4 {
        let done = flap * 5;
        stub.wait_for("some answers", move |record| {
            record.on("/api/chat").count() >= done
        })
        .await
        .unwrap();
        stub.stop_listening().await;
        foreman
            .log()
            .until("the outage to be met", |lines| {
                let met = |line: &&Value| line["message"] == "target does not take jobs: they wait";
                lines.iter().filter(met).count() >= flap
            })
            .await;
        stub.resume_listening().await.unwrap();
    }

    for (n, exchange) in waiting.into_iter().enumerate() {
        let reply = exchange.reply().await;
        assert_eq!(reply.status(), 200, "{}", reply.text());
        assert!(content(&reply.json()).contains(&format!("number {n}.")));
    }

    let record = stub.record();
    for n in 0..30 {
        let complete = record.on("/api/chat").filter(|request| {
            request.end == Some(foreman_stub::End::Complete)
                && request.body_text().contains(&format!("number {n}."))
        });
        assert_eq!(complete.count(), 1, "number {n}");
    }
}
