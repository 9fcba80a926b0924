//! What runs next, through the real program: fewest swaps, bounded waits, turns, classes, pauses.

use std::collections::BTreeMap;

use foreman_stub::{Hold, ModelSpec, Stub};
use foreman_tests::{Exchange, Foreman, Pair, Reply, chat, eventually, request, stub};
use serde_json::{Value, json};

use crate::{A, B, C, foreman};

const JOBS: &str = "/foreman/v1/jobs";
const QUEUE: &str = "/foreman/v1/queue";

/// A submission of a chat.
fn job(model: &str, prompt: &str) -> Value {
    json!({"endpoint": "/api/chat", "request": chat(model, prompt)})
}

async fn post(foreman: &Foreman, path: &str, token: Option<&str>, body: &Value) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer
        .iter()
        .map(|value| ("Authorization", value.as_str()))
        .collect();
    let exchange = Exchange::post_with(foreman.url(), path, &headers, body).await;
    exchange.reply().await
}

/// Submits jobs in the order in which they are given.
async fn submit(foreman: &Foreman, token: Option<&str>, jobs: Vec<Value>) {
    let count = jobs.len();
    let reply = post(foreman, JOBS, token, &Value::Array(jobs)).await;
    assert_eq!(reply.status(), 202, "{}", reply.text());
    let results = reply.json();
    let made = results.as_array().unwrap().iter();
    assert_eq!(made.filter(|job| job["id"].is_string()).count(), count);
}

async fn steer(foreman: &Foreman, what: &str, body: &Value) -> Value {
    let reply = post(foreman, &format!("{QUEUE}/{what}"), None, body).await;
    assert_eq!(reply.status(), 200, "{}", reply.text());
    reply.json()
}

async fn until_oldest(foreman: &Foreman, seconds: u64) {
    eventually("the oldest job to be of an age", || async {
        let age = &foreman.health().await["queue"]["oldest_age_seconds"];
        age.as_u64().is_some_and(|age| age >= seconds)
    })
    .await;
}

/// Returns the prompts in the order in which the target got them.
fn prompts(stub: &Stub) -> Vec<String> {
    let record = stub.record();
    let text = |body: String| -> Option<String> {
        let body: Value = serde_json::from_str(&body).ok()?;
        Some(body["messages"][0]["content"].as_str()?.to_owned())
    };
    record
        .on("/api/chat")
        .filter_map(|it| text(it.body_text()))
        .collect()
}

/// Numbers in an order that is always the same and looks like none.
fn shuffled(count: usize) -> Vec<usize> {
    let mut state = 7_u32;
    let mut numbers: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let other = usize::try_from(state).unwrap() % (last + 1);
        numbers.swap(last, other);
    }
    numbers
}

#[tokio::test]
async fn a_thousand_jobs_over_five_models_cost_five_loads() {
    let models: Vec<String> = (0..5).map(|n| format!("model-{n}:1b")).collect();
    let target = models.iter().fold(stub().max_loaded(1), |stub, name| {
        stub.model(ModelSpec::chat(name))
    });
    let target = target.load_time(std::time::Duration::from_millis(300));
    let Pair { stub, foreman } = Pair::start(target, foreman()).await;
    steer(&foreman, "pause", &json!({})).await;
    let order = shuffled(1000);
    let jobs = order.iter().enumerate().map(|(place, number)| {
        let model = number % 5;
        job(&models[model], &format!("{model} {place}"))
    });
    submit(&foreman, None, jobs.collect()).await;
    let queue = steer(&foreman, "resume", &json!({})).await;

    foreman.until_idle().await;

    assert_eq!(stub.counts().loads, 5);
    let mut of_model: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for prompt in prompts(&stub) {
        let (model, place) = prompt.split_once(' ').unwrap();
        let places = of_model.entry(model.to_owned()).or_default();
        places.push(place.parse().unwrap());
    }
    assert_eq!(of_model.len(), 5);
    for places in of_model.values() {
        assert!(places.is_sorted() && places.len() == 200);
    }
    assert_eq!(queue["by_model"][&models[3]].as_u64().unwrap() / 10, 20);
    let after = foreman.get(QUEUE).await.json();
    assert_eq!((&after["queued"], &after["swaps"]), (&json!(0), &json!(5)));
    assert!(after["swaps_avoided"].as_u64().unwrap() > 500);
}

#[tokio::test]
async fn past_the_age_bound_every_other_job_goes_before_the_stream_for_the_resident_model() {
    let settings = foreman().set("MAX_WAIT", "2s");
    let Pair { stub, foreman } = Pair::start(stub().max_loaded(1), settings).await;
    let gate = stub.hold(Hold::before_first_token());
    submit(&foreman, None, vec![job(A, "a0")]).await;
    gate.reached().await;
    let others = vec![job(B, "b0"), job(C, "c0"), job(A, "a1")];
    submit(&foreman, None, others).await;
    // Young jobs: the stream for the resident model goes on before them.
    gate.release_one();
    gate.reached_by(2).await;
    until_oldest(&foreman, 2).await;
    submit(
        &foreman,
        None,
        vec![job(A, "a2"), job(A, "a3"), job(B, "b1")],
    )
    .await;

    gate.release();
    foreman.until_idle().await;

    let prompts = prompts(&stub);
    assert_eq!(prompts[..3], ["a0", "a1", "b0"]);
    let place = |prompt: &str| prompts.iter().position(|it| it == prompt).unwrap();
    assert!(place("c0") < place("a2"), "{prompts:?}");
    let aged = foreman.log().having("reason", "aged");
    assert_eq!(aged.len(), 2, "{aged:#?}");
}

#[tokio::test]
async fn a_caller_with_five_jobs_is_served_between_the_five_hundred_of_another() {
    let settings = foreman().set("TOKENS", "many=token-of-many,few=token-of-few");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    let gate = stub.hold(Hold::before_first_token());
    let many = (0..500).map(|n| job(A, &format!("many {n}")));
    submit(&foreman, Some("token-of-many"), many.collect()).await;
    gate.reached().await;
    let few = (0..5).map(|n| job(A, &format!("few {n}")));
    submit(&foreman, Some("token-of-few"), few.collect()).await;

    gate.release();
    foreman.until_idle().await;

    let prompts = prompts(&stub);
    assert_eq!(prompts.len(), 505);
    let few = (0..5).map(|n| {
        let wanted = format!("few {n}");
        prompts.iter().position(|it| *it == wanted).unwrap()
    });
    let few: Vec<usize> = few.collect();
    assert!(few.is_sorted() && few[4] < 15, "{few:?}");
    assert!(!foreman.log().having("reason", "fair").is_empty());
}

#[tokio::test]
async fn a_high_job_starts_next_a_low_one_last_and_a_token_caps_its_caller() {
    let tokens = "boss=token-of-boss,batch=token-of-batch;max_priority=low";
    let settings = foreman().set("TOKENS", tokens);
    let Pair { stub, foreman } = Pair::start(stub().max_loaded(1), settings).await;
    let gate = stub.hold(Hold::before_first_token());
    let of_class = |model: &str, prompt: &str, class: &str| {
        let mut job = job(model, prompt);
        job["priority"] = json!(class);
        job
    };
    submit(&foreman, Some("token-of-boss"), vec![job(A, "first")]).await;
    gate.reached().await;

    let capped = of_class(A, "capped", "high");
    submit(&foreman, Some("token-of-batch"), vec![capped]).await;
    let jobs = vec![
        of_class(A, "low", "low"),
        job(A, "normal"),
        of_class(B, "high", "high"),
        job(B, "other"),
    ];
    submit(&foreman, Some("token-of-boss"), jobs).await;
    let refused = post(
        &foreman,
        "/foreman/v1/queue/pause",
        Some("token-of-batch"),
        &json!({}),
    )
    .await;
    gate.release();
    foreman.until_idle().await;

    let prompts = prompts(&stub);
    assert_eq!(prompts[..4], ["first", "high", "other", "normal"]);
    assert_eq!(prompts.len(), 6);
    assert_eq!(foreman.log().having("reason", "priority").len(), 3);
    assert_eq!(refused.status(), 403, "{}", refused.text());
}

#[tokio::test]
async fn a_pause_survives_kill_9() {
    let Pair {
        stub,
        foreman: mut first,
    } = Pair::start(stub().max_loaded(1), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    submit(&first, None, vec![job(A, "runs")]).await;
    gate.reached().await;
    let paused = steer(&first, "pause", &json!({"model": "LLAMA3.2:1b"})).await;
    assert_eq!(paused["paused"], json!({"all": false, "models": [A]}));
    submit(&first, None, vec![job(A, "waits"), job(B, "passes")]).await;
    gate.release();
    eventually("all but the paused model to be done", || async {
        let health = first.health().await;
        health["queue"]["queued"] == 1 && health["queue"]["running"].is_null()
    })
    .await;
    steer(&first, "pause", &json!({})).await;
    submit(&first, None, vec![job(B, "waits too")]).await;

    first.kill().await;
    let second = foreman().after(&first).target(&stub.url()).start().await;
    let queue = second.get(QUEUE).await.json();
    let resumed = steer(&second, "resume", &json!({})).await;
    second.until_idle().await;

    assert_eq!(queue["paused"], json!({"all": true, "models": [A]}));
    assert_eq!(
        (&queue["queued"], &queue["running"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(resumed["paused"], json!({"all": false, "models": []}));
    let prompts = prompts(&stub);
    assert_eq!(prompts[..2], ["runs", "passes"]);
    assert_eq!(prompts.len(), 4);
}

#[tokio::test]
async fn the_queue_is_counted_by_model_class_and_caller() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    submit(&foreman, None, vec![job(A, "runs")]).await;
    gate.reached().await;
    let mut low = job(B, "low");
    low["priority"] = json!("low");
    let jobs = vec![job("LLAMA3.2:1b", "upper"), job(A, "lower"), low];
    submit(&foreman, None, jobs).await;

    let queue = foreman.get(QUEUE).await.json();

    assert_eq!(queue["queued"], 3);
    assert_eq!(queue["by_model"], json!({A: 2, B: 1}));
    assert_eq!(queue["by_priority"], json!({"low": 1, "normal": 2}));
    assert_eq!(queue["by_caller"], json!({"anonymous": 3}));
    assert_eq!(queue["depth"][0]["model"], B);
    assert_eq!(queue["running"]["model"], A);
    assert_eq!(queue["target"]["reachable"], true);
    assert!(queue["oldest_age_seconds"].is_u64());
    for body in [json!({"modle": A}), json!({"model": ""}), json!([])] {
        let reply = post(&foreman, "/foreman/v1/queue/pause", None, &body).await;
        assert_eq!(reply.status(), 400, "{body}: {}", reply.text());
    }
    gate.release();
    foreman.until_idle().await;
}

#[tokio::test]
async fn a_body_that_is_no_object_neither_stops_the_queue_nor_lets_it_go_on() {
    let Pair { stub: _, foreman } = Pair::start(stub(), foreman()).await;
    let headers = [("Content-Type", "application/json")];
    for (verb, was) in [("pause", false), ("resume", true)] {
        for body in [
            "[null]", "[]", "null", r#""""#, "5", "true", "\n", "{", "{} {}",
        ] {
            let path = format!("{QUEUE}/{verb}");
            let bytes = request("POST", &path, &headers, body.as_bytes());

            let reply = Exchange::send_raw(foreman.url(), &bytes)
                .await
                .reply()
                .await;

            assert_eq!(reply.status(), 400, "{verb} {body:?}: {}", reply.text());
            let paused = json!({"all": was, "models": []});
            assert_eq!(
                foreman.get(QUEUE).await.json()["paused"],
                paused,
                "{verb} {body:?}"
            );
        }
        steer(&foreman, "pause", &json!({})).await;
    }
}
