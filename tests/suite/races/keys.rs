//! Requests with one idempotency key: at once, again, after a failure, after the job was forgotten.

use foreman_stub::Hold;
use foreman_tests::{Exchange, Foreman, Pair, Reply, chat, chat_stream, request, stub};
use serde_json::Value;

use super::JOBS;
use crate::{A, foreman};

const KEY: (&str, &str) = ("Idempotency-Key", "k-1");

async fn ask(foreman: &Foreman, body: &Value) -> Exchange {
    Exchange::post_with(foreman.url(), "/api/chat", &[KEY], body).await
}

async fn answer(foreman: &Foreman, body: &Value) -> Reply {
    ask(foreman, body).await.reply().await
}

fn id(reply: &Reply) -> &str {
    reply.head.header("x-foreman-job-id").unwrap()
}

#[tokio::test]
async fn fifty_at_once_with_one_key_are_one_job_and_get_one_answer() {
    for body in [chat(A, "fifty"), chat_stream(A, "stub:tokens=20 fifty")] {
        let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
        let gate = stub.hold(Hold::before_first_token());
        let mut asking = Vec::new();
        for _ in 0..50 {
            asking.push(ask(&foreman, &body).await);
        }
        gate.reached().await;

        gate.release();
        let mut replies = Vec::new();
        for exchange in asking {
            replies.push(exchange.reply().await);
        }

        let first = &replies[0];
        assert_eq!(first.status(), 200);
        for reply in &replies {
            assert_eq!((id(reply), reply.status()), (id(first), 200));
            assert_eq!(reply.text(), first.text());
            assert!(reply.clean);
        }
        assert_eq!(stub.record().on("/api/chat").count(), 1);
        let jobs = foreman.get(JOBS).await.json();
        assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn whoever_left_and_comes_back_with_the_key_gets_the_answer_from_its_beginning() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::after_chunks(2));
    let body = chat_stream(A, "stub:tokens=6 back");
    let mut leaving = ask(&foreman, &body).await;
    let seen = leaving.chunk().await.unwrap();
    gate.reached().await;

    drop(leaving);
    let back = ask(&foreman, &body).await;
    gate.release();
    let back = back.reply().await;
    let again = answer(&foreman, &body).await;

    assert!(back.clean && back.text().as_bytes().starts_with(&seen));
    assert_eq!(back.lines().len(), 7);
    assert_eq!(back.text(), again.text());
    assert_eq!(again.head.header("idempotent-replayed"), Some("true"));
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn a_key_whose_job_failed_tells_the_same_failure_and_another_body_is_refused() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let body = chat(A, "stub:error400 wrong");

    let first = answer(&foreman, &body).await;
    let second = answer(&foreman, &body).await;
    let other = answer(&foreman, &chat(A, "another")).await;

    assert_eq!((first.status(), second.status()), (400, 400));
    assert_eq!((first.text(), id(&first)), (second.text(), id(&second)));
    assert_eq!(second.head.header("idempotent-replayed"), Some("true"));
    assert_eq!(other.status(), 422);
    let code = other.head.header("x-foreman-error-code");
    assert_eq!(code, Some("idempotency_mismatch"));
    assert_eq!(stub.record().on("/api/chat").count(), 1);
}

#[tokio::test]
async fn a_key_whose_job_was_forgotten_makes_a_new_one_also_for_another_body() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let first = answer(&foreman, &chat(A, "once")).await;
    let forget = request("DELETE", &format!("{JOBS}/{}", id(&first)), &[], b"");
    let forgotten = Exchange::send_raw(foreman.url(), &forget).await;
    assert_eq!(forgotten.reply().await.status(), 204);

    let second = answer(&foreman, &chat(A, "twice")).await;

    assert_eq!(second.status(), 200);
    assert_ne!(id(&first), id(&second));
    assert_eq!(second.head.header("idempotent-replayed"), None);
    assert_eq!(stub.record().on("/api/chat").count(), 2);
}
