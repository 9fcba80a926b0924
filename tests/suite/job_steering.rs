//! Asynchronous jobs are repeated, forgotten, put off and kept apart by caller.

use foreman_stub::Hold;
use foreman_tests::{Exchange, Foreman, Pair, Reply, chat, request, stub};
use serde_json::{Value, json};

use crate::{A, foreman};

const JOBS: &str = "/foreman/v1/jobs";

fn chatting(prompt: &str) -> Value {
    json!({"endpoint": "/api/chat", "request": chat(A, prompt)})
}

async fn submit(foreman: &Foreman, submission: &Value) -> String {
    let reply = foreman.post(JOBS, submission).await;
    assert_eq!(reply.status(), 202, "{}", reply.text());
    reply.json()["id"].as_str().unwrap().to_owned()
}

async fn ended(foreman: &Foreman, id: &str) -> Value {
    foreman.get(&format!("{JOBS}/{id}?wait=1m")).await.json()
}

async fn send(foreman: &Foreman, method: &str, path: &str) -> Reply {
    send_as(foreman, &[], (method, path), b"").await
}

async fn send_as(
    foreman: &Foreman,
    headers: &[(&str, &str)],
    (method, path): (&str, &str),
    body: &[u8],
) -> Reply {
    let bytes = request(method, path, headers, body);
    Exchange::send_raw(foreman.url(), &bytes)
        .await
        .reply()
        .await
}

#[tokio::test]
async fn an_ended_job_is_repeated_as_a_new_one() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let submission = json!({
        "endpoint": "/api/chat",
        "request": chat(A, "stub:error400 hi"),
        "priority": "low",
        "metadata": {"k": "v"},
    });
    let old = submit(&foreman, &submission).await;
    let before = ended(&foreman, &old).await;

    let made = send(&foreman, "POST", &format!("{JOBS}/{old}/retry")).await;

    assert_eq!(made.status(), 201);
    let new = made.json();
    assert_eq!(new["retry_of"], old);
    assert_eq!(
        (&new["priority"], &new["metadata"]),
        (&json!("low"), &json!({"k": "v"}))
    );
    let place = format!("{JOBS}/{}", new["id"].as_str().unwrap());
    assert_eq!(made.head.header("location"), Some(place.as_str()));
    assert_eq!(
        ended(&foreman, new["id"].as_str().unwrap()).await["state"],
        "failed"
    );
    assert_eq!(
        ended(&foreman, &old).await,
        before,
        "the old one is as it was"
    );
    let record = stub.record();
    let sent: Vec<String> = record
        .on("/api/chat")
        .map(foreman_stub::RequestRecord::body_text)
        .collect();
    assert_eq!((sent.len(), &sent[0]), (2, &sent[1]));
}

#[tokio::test]
async fn a_running_job_is_neither_repeated_nor_forgotten() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let id = submit(&foreman, &chatting("hi")).await;
    gate.reached().await;

    let retry = send(&foreman, "POST", &format!("{JOBS}/{id}/retry")).await;
    let delete = send(&foreman, "DELETE", &format!("{JOBS}/{id}")).await;

    assert_eq!(
        (retry.status(), &retry.json()["code"]),
        (409, &json!("job_not_ended"))
    );
    assert_eq!(
        (delete.status(), &delete.json()["code"]),
        (409, &json!("job_running"))
    );
    gate.release();
    assert_eq!(ended(&foreman, &id).await["state"], "done");
}

#[tokio::test]
async fn a_forgotten_job_is_gone_and_a_waiting_one_never_runs() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let done = submit(&foreman, &chatting("done")).await;
    ended(&foreman, &done).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = submit(&foreman, &chatting("running")).await;
    gate.reached().await;
    let waiting = submit(&foreman, &chatting("waiting")).await;

    for id in [&done, &waiting] {
        let path = format!("{JOBS}/{id}");
        let gone = send(&foreman, "DELETE", &path).await;
        assert_eq!((gone.status(), gone.text().as_str()), (204, ""));
        assert_eq!(send(&foreman, "DELETE", &path).await.status(), 404);
        for part in ["", "/output", "/stream", "/request"] {
            assert_eq!(
                foreman.get(&format!("{path}{part}")).await.status(),
                404,
                "{part}"
            );
        }
    }
    gate.release();

    ended(&foreman, &running).await;
    assert_eq!(stub.record().on("/api/chat").count(), 2);
}

#[tokio::test]
async fn what_is_no_id_or_no_job_is_told_apart() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let reads = ["", "/output", "/stream", "/request"].map(|part| ("GET", part));
    let writes = [("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")];

    for (method, part) in reads.into_iter().chain(writes) {
        let malformed = send(&foreman, method, &format!("{JOBS}/17{part}")).await;
        assert_eq!(malformed.status(), 400, "{part}");
        assert!(
            malformed.json()["error"]
                .as_str()
                .unwrap()
                .contains("job id")
        );
        let unknown = format!("{JOBS}/01J9Z3N6T5Q8W0V2X4Y6Z8A0BC{part}");
        let unknown = send(&foreman, method, &unknown).await;
        assert_eq!(
            (unknown.status(), &unknown.json()["code"]),
            (404, &json!("not_found"))
        );
    }
}

#[tokio::test]
async fn a_job_with_a_time_of_its_own_waits_for_it_and_one_that_is_late_expires() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let mut later = chatting("later");
    later["not_before"] = json!("2999-01-01T00:00:00+02:00");
    let later = submit(&foreman, &later).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = submit(&foreman, &chatting("now")).await;
    gate.reached().await;
    let mut hurried = chatting("hurried");
    hurried["expires_in"] = json!("20ms");
    let hurried = submit(&foreman, &hurried).await;

    let expired = ended(&foreman, &hurried).await;
    gate.release();
    ended(&foreman, &running).await;

    assert_eq!(
        (&expired["state"], &expired["error"]["code"]),
        (&json!("failed"), &json!("expired"))
    );
    let output = foreman.get(&format!("{JOBS}/{hurried}/output")).await;
    assert_eq!(
        (output.status(), &output.json()["code"]),
        (504, &json!("expired"))
    );
    let later = foreman.get(&format!("{JOBS}/{later}")).await.json();
    assert_eq!(later["state"], "queued");
    assert_eq!(later["not_before"], "2998-12-31T22:00:00.000Z");
    assert_eq!(later["retry_at"], Value::Null);
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn what_does_not_wait_in_the_queue_is_no_job() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let unload = json!({"model": A, "keep_alive": 0});
    let cloud = chat("gpt-oss:120b-cloud", "hi");
    let form = json!({"model": A});

    for (endpoint, request) in [
        ("/api/generate", unload),
        ("/api/chat", cloud),
        ("/v1/audio/transcriptions", form),
    ] {
        let submission = json!({"endpoint": endpoint, "request": request});
        let refused = foreman.post(JOBS, &submission).await;

        assert_eq!(
            (refused.status(), &refused.json()["code"]),
            (422, &json!("not_a_job"))
        );
    }
}

#[tokio::test]
async fn who_does_not_want_to_wait_at_a_drop_in_route_gets_the_job() {
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman()).await;
    let headers = [("Prefer", "respond-async"), ("Idempotency-Key", "k")];
    let post = async || {
        let body = chat(A, "hi");
        let sent = Exchange::post_with(foreman.url(), "/api/chat", &headers, &body).await;
        sent.reply().await
    };

    let accepted = post().await;
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    let done = ended(&foreman, &id).await;
    let again = post().await;

    assert_eq!(accepted.status(), 202);
    assert_eq!(
        accepted.head.header("preference-applied"),
        Some("respond-async")
    );
    assert_eq!(
        accepted.head.header("location"),
        Some(format!("{JOBS}/{id}").as_str())
    );
    let names = |job: &Value| job.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&accepted.json()), names(&done));
    assert_eq!((again.status(), again.json()), (200, done));
}

#[tokio::test]
async fn callers_with_tokens_see_and_steer_their_own_jobs_only() {
    let tokens = "alice=token-of-alice,bob=token-of-bob";
    let Pair {
        stub: _stub,
        foreman,
    } = Pair::start(stub(), foreman().set("TOKENS", tokens)).await;
    let alice = [("Authorization", "Bearer token-of-alice")];
    let bob = [("Authorization", "Bearer token-of-bob")];
    let body = chatting("hi").to_string();
    let made = send_as(&foreman, &alice, ("POST", JOBS), body.as_bytes()).await;
    let job = made.json();
    let path = format!("{JOBS}/{}", job["id"].as_str().unwrap());
    let wait = format!("{path}?wait=1m");

    assert_eq!(job["caller"], "alice");
    let done = send_as(&foreman, &alice, ("GET", &wait), b"").await;
    assert_eq!(done.json()["state"], "done");
    for (method, part) in [
        ("GET", ""),
        ("GET", "/output"),
        ("GET", "/stream"),
        ("GET", "/request"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("DELETE", ""),
    ] {
        let path = format!("{path}{part}");
        let reply = send_as(&foreman, &bob, (method, &path), b"").await;
        assert_eq!(reply.status(), 404, "{method} {part}");
        assert_eq!(send(&foreman, method, &path).await.status(), 401);
    }
    let listed = async |who: &[(&str, &str)], query: &str| {
        let path = format!("{JOBS}{query}");
        let list = send_as(&foreman, who, ("GET", &path), b"").await.json();
        list["jobs"].as_array().unwrap().len()
    };
    assert_eq!(listed(&alice, "").await, 1);
    assert_eq!(listed(&bob, "").await, 0);
    assert_eq!(listed(&bob, "?caller=alice").await, 0);
}
