//! Asynchronous jobs through the real program: submitted, listed, waited for, steered and forgotten.

use foreman_stub::Hold;
use foreman_tests::{Exchange, Foreman, Pair, Reply, chat, chat_stream, request, stub};
use serde_json::{Value, json};

use crate::{A, B, content, foreman};

const JOBS: &str = "/foreman/v1/jobs";

/// A submission of a chat.
fn chatting(model: &str, prompt: &str) -> Value {
    json!({"endpoint": "/api/chat", "request": chat(model, prompt)})
}

async fn submit(foreman: &Foreman, submission: &Value) -> String {
    let reply = foreman.post(JOBS, submission).await;
    assert_eq!(reply.status(), 202, "{}", reply.text());
    id(&reply.json())
}

fn id(job: &Value) -> String {
    job["id"].as_str().unwrap().to_owned()
}

async fn ended(foreman: &Foreman, id: &str) -> Value {
    let job = foreman.get(&format!("{JOBS}/{id}?wait=1m")).await.json();
    assert!(!job["finished_at"].is_null(), "{job}");
    job
}

async fn send(foreman: &Foreman, method: &str, path: &str) -> Reply {
    let bytes = request(method, path, &[], b"");
    Exchange::send_raw(foreman.url(), &bytes)
        .await
        .reply()
        .await
}

fn ids(list: &Value) -> Vec<String> {
    list["jobs"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn a_submitted_job_is_done_without_anybody_waiting() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let submission = json!({
        "endpoint": "/api/chat",
        "request": chat(A, "hello"),
        "priority": "low",
        "metadata": {"batch": 7, "note": "n"},
    });

    let reply = foreman.post(JOBS, &submission).await;

    assert_eq!(reply.status(), 202, "{}", reply.text());
    let accepted = reply.json();
    let id = id(&accepted);
    assert_eq!(
        reply.head.header("location"),
        Some(format!("{JOBS}/{id}").as_str())
    );
    assert_eq!(reply.head.header("x-foreman-job-id"), Some(id.as_str()));
    assert_eq!(accepted["state"], "queued");
    assert_eq!(accepted["priority"], "low");
    assert_eq!(accepted["metadata"], submission["metadata"]);
    assert_eq!(accepted["max_attempts"], 5);
    let job = ended(&foreman, &id).await;
    assert_eq!(job["state"], "done");
    assert_eq!((&job["status"], &job["attempt"]), (&json!(200), &json!(0)));
    assert!(job["usage"]["completion_tokens"].as_u64().unwrap() > 0);
    assert!(job["queue_ms"].is_u64() && job["error"].is_null());
    for name in accepted.as_object().unwrap().keys() {
        assert!(job.get(name).is_some(), "{name}");
    }
    for time in ["created_at", "claimed_at", "finished_at"] {
        assert!(job[time].as_str().unwrap().ends_with('Z'), "{time}");
    }
    let output = foreman.get(&format!("{JOBS}/{id}/output")).await;
    assert_eq!(output.status(), 200);
    assert_eq!(stub.record().on("/api/chat").count(), 1);
    assert!(!content(&output.json()).is_empty());
}

#[tokio::test]
async fn many_are_submitted_at_once_each_with_a_result_in_its_place() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let items = json!([
        chatting(A, "first"),
        chatting("nobody-has-this", "second"),
        {"endpoint": "/api/chat", "request": chat(A, "third"), "prority": "low"},
        {"endpoint": "/api/tags", "request": {}},
        "fifth",
        chatting(B, "sixth"),
    ]);
    let lines: Vec<String> = items
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();

    let array = foreman.post(JOBS, &items).await;
    let headers = [("Content-Type", "application/x-ndjson")];
    let body = format!("{}\n\n", lines.join("\n"));
    let bytes = request("POST", JOBS, &headers, body.as_bytes());
    let lines = Exchange::send_raw(foreman.url(), &bytes)
        .await
        .reply()
        .await;

    assert_eq!((array.status(), lines.status()), (202, 202));
    assert_eq!(
        lines.head.header("content-type"),
        Some("application/x-ndjson")
    );
    for results in [array.json().as_array().unwrap().clone(), lines.lines()] {
        assert_eq!(results.len(), 6);
        assert_eq!(
            (&results[0]["model"], &results[5]["model"]),
            (&json!(A), &json!(B))
        );
        let unknown = results[1]["error"].as_str().unwrap();
        assert_eq!(unknown, "model 'nobody-has-this' not found");
        for (at, named) in [(2, "prority"), (3, "endpoint"), (4, "object")] {
            let error = results[at]["error"].as_str().unwrap();
            assert!(error.contains(named), "{error}");
            assert_eq!(results[at]["code"], "bad_request");
        }
    }
    gate.release();
}

#[tokio::test]
async fn a_thousand_in_one_array_are_queued_in_their_order() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let items: Vec<Value> = (0..1000)
        .map(|n| chatting(A, &format!("number {n}.")))
        .collect();

    let results = foreman.post(JOBS, &json!(items)).await.json();

    let accepted: Vec<String> = results.as_array().unwrap().iter().map(id).collect();
    assert_eq!(accepted.len(), 1000);
    let mut listed = Vec::new();
    let mut next = String::new();
    loop {
        let page = foreman.get(&format!("{JOBS}?limit=300{next}")).await.json();
        listed.extend(ids(&page));
        let Some(cursor) = page["next"].as_str() else {
            break;
        };
        next = format!("&after={cursor}");
    }
    listed.reverse();
    assert!(listed == accepted, "in another order");
    gate.release();
    ended(&foreman, &accepted[999]).await;
    let record = stub.record();
    let first = record.on("/api/chat").take(50);
    for (n, sent) in first.enumerate() {
        assert!(sent.body_text().contains(&format!("number {n}.")), "{n}");
    }
}

#[tokio::test]
async fn fifty_submissions_with_one_key_make_one_job() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let submission = chatting(A, "once");
    let headers = [("Idempotency-Key", "k-1")];
    let mut sent = Vec::new();
    for _ in 0..50 {
        sent.push(Exchange::post_with(foreman.url(), JOBS, &headers, &submission).await);
    }

    let mut made = Vec::new();
    let mut replayed = 0;
    for exchange in sent {
        let reply = exchange.reply().await;
        if reply.status() == 200 {
            assert_eq!(reply.head.header("idempotent-replayed"), Some("true"));
            replayed += 1;
        }
        made.push(id(&reply.json()));
    }

    made.dedup();
    assert_eq!((made.len(), replayed), (1, 49));
    ended(&foreman, &made[0]).await;
    assert_eq!(stub.record().on("/api/chat").count(), 1);
    let other = Exchange::post_with(foreman.url(), JOBS, &headers, &chatting(A, "other")).await;
    assert_eq!(other.reply().await.status(), 422);
}

#[tokio::test]
async fn a_batch_with_a_key_can_be_sent_again() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let items = json!([chatting(A, "one"), chatting(A, "two"), chatting(A, "two")]);
    let headers = [("Idempotency-Key", "k-1")];

    let mut results = Vec::new();
    for _ in 0..2 {
        let sent = Exchange::post_with(foreman.url(), JOBS, &headers, &items).await;
        let made = sent.reply().await.json();
        results.push(made.as_array().unwrap().iter().map(id).collect::<Vec<_>>());
    }

    assert_eq!(results[0], results[1]);
    assert!(results[0][1] != results[0][2]);
}

#[tokio::test]
async fn a_list_is_filtered_and_read_in_pages_the_newest_first() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let mut all = Vec::new();
    for (n, model) in [A, B, A, B, A].into_iter().enumerate() {
        all.push(submit(&foreman, &chatting(model, &format!("{n}"))).await);
    }
    let generate = json!({"endpoint": "/api/generate", "request": {"model": A, "prompt": "x", "stream": false}});
    all.push(submit(&foreman, &generate).await);
    for id in &all {
        ended(&foreman, id).await;
    }
    all.reverse();
    let list = async |query: &str| foreman.get(&format!("{JOBS}{query}")).await.json();

    assert_eq!(ids(&list("").await), all);
    assert_eq!(ids(&list("?endpoint=/api/generate").await), all[..1]);
    let model = B.to_uppercase();
    assert_eq!(
        ids(&list(&format!("?model={model}&state=done")).await),
        [all[2].clone(), all[4].clone()]
    );
    assert!(ids(&list("?state=failed").await).is_empty());
    assert!(ids(&list("?caller=nobody").await).is_empty());
    let first = list("?limit=2&state=done").await;
    let cursor = first["next"].as_str().unwrap();
    let rest = list(&format!("?state=done&after={cursor}")).await;
    assert_eq!([ids(&first), ids(&rest)].concat(), all);
    assert_eq!(rest["next"], Value::Null);
    for (query, named) in [
        ("?state=sleeping".to_owned(), "state"),
        ("?limit=0".to_owned(), "limit"),
        ("?after=xyz".to_owned(), "after"),
        (format!("?state=failed&after={cursor}"), "after"),
        ("?fliter=1".to_owned(), "fliter"),
        ("?endpoint=/api/tags".to_owned(), "endpoint"),
    ] {
        let reply = foreman.get(&format!("{JOBS}{query}")).await;
        assert_eq!(reply.status(), 400, "{query}");
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(named), "{error}");
    }
}

#[tokio::test]
async fn who_waits_is_answered_when_the_job_ends_or_the_time_is_over() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let id = submit(&foreman, &chatting(A, "hi")).await;
    gate.reached().await;

    let early = foreman.get(&format!("{JOBS}/{id}?wait=10ms")).await.json();
    let waiting = Exchange::get(foreman.url(), &format!("{JOBS}/{id}?wait=1m")).await;
    let output = Exchange::get(foreman.url(), &format!("{JOBS}/{id}/output?wait=1m")).await;
    let none = foreman.get(&format!("{JOBS}/{id}/output")).await;
    gate.release();

    assert_eq!(early["state"], "loading");
    assert_eq!(none.status(), 202);
    let after: u64 = none.head.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=120).contains(&after));
    assert_eq!(none.json()["id"], id);
    assert_eq!(waiting.reply().await.json()["state"], "done");
    assert_eq!(output.reply().await.status(), 200);
}

#[tokio::test]
async fn the_output_is_what_the_target_gave_whatever_that_was() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let streamed = json!({"endpoint": "/api/chat", "request": chat_stream(A, "stub:tokens=7 hi")});
    let refused = json!({"endpoint": "/api/chat", "request": chat(A, "stub:error400 hi")});
    let openai = json!({"endpoint": "/v1/chat/completions", "request":
        {"model": A, "stream": true, "messages": [{"role": "user", "content": "hi"}]}});

    for (submission, state) in [(streamed, "done"), (refused, "failed"), (openai, "done")] {
        let endpoint = submission["endpoint"].as_str().unwrap();
        let direct = foreman.post(endpoint, &submission["request"]).await;
        let id = submit(&foreman, &submission).await;
        let job = ended(&foreman, &id).await;

        let output = foreman.get(&format!("{JOBS}/{id}/output")).await;

        assert_eq!(
            (&job["state"], &job["status"]),
            (&json!(state), &json!(direct.status()))
        );
        assert_eq!(output.status(), direct.status());
        assert_eq!(
            output.head.header("content-type"),
            direct.head.header("content-type")
        );
        assert_eq!(output.chunks.len(), direct.chunks.len());
        assert!(output.clean && !output.text().is_empty());
    }
}

#[tokio::test]
async fn the_request_comes_back_as_it_came() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let inner = format!(r#"{{ "stream":false,"model" : "{A}", "messages":[],  "x":1.50 }}"#);
    let body = format!(r#"{{"endpoint":"/api/chat","request":{inner}}}"#);
    let bytes = request("POST", JOBS, &[], body.as_bytes());
    let made = Exchange::send_raw(foreman.url(), &bytes)
        .await
        .reply()
        .await;

    let stored = foreman
        .get(&format!("{JOBS}/{}/request", id(&made.json())))
        .await;

    assert_eq!(stored.text(), inner);
    assert_eq!(stored.head.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn cancelling_is_idempotent_and_says_what_became_of_the_job() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let done = submit(&foreman, &chatting(A, "done")).await;
    ended(&foreman, &done).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = submit(&foreman, &chatting(A, "running")).await;
    gate.reached().await;
    let queued = submit(&foreman, &chatting(A, "queued")).await;
    let cancel = async |id: &str| send(&foreman, "POST", &format!("{JOBS}/{id}/cancel")).await;

    for _ in 0..2 {
        let reply = cancel(&queued).await;
        assert_eq!(
            (reply.status(), &reply.json()["state"]),
            (200, &json!("cancelled"))
        );
        assert_eq!(cancel(&done).await.json()["state"], "done");
    }
    let asked = cancel(&running).await.json();

    assert!(
        asked["cancel_requested"] == true || asked["state"] == "cancelled",
        "{asked}"
    );
    assert_eq!(ended(&foreman, &running).await["state"], "cancelled");
    let output = foreman.get(&format!("{JOBS}/{queued}/output")).await;
    assert_eq!(
        (output.status(), &output.json()["code"]),
        (499, &json!("cancelled"))
    );
    gate.release();
}
