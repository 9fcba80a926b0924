//! Statuses other than success.

use foreman_stub::{Fault, FaultRule, Stub};
use foreman_tests::{Exchange, Pair, chat, stub};
use rstest::rstest;

use super::{chats, goes_on};
use crate::{A, B, content, foreman};

const BOOM: &str = r#"{"error":"boom"}"#;

fn status(status: u16, body: &str, retry_after: Option<&str>) -> Fault {
    Fault::Status {
        status,
        body: body.to_owned(),
        retry_after: retry_after.map(str::to_owned),
    }
}

fn strike(stub: &Stub, rule: FaultRule) {
    stub.inject(rule.on_path("/api/chat"));
}

#[tokio::test]
async fn a_500_that_passes_is_not_seen_and_one_that_stays_comes_in_the_targets_words() {
    let settings = foreman().set("MAX_ATTEMPTS", "3");
    let Pair { stub, foreman } = Pair::start(stub(), settings).await;
    strike(&stub, FaultRule::once(status(500, BOOM, None)));
    let passed = foreman.post("/api/chat", &chat(A, "hi")).await;
    let before = chats(&stub);
    strike(&stub, FaultRule::always(status(500, BOOM, None)));
    let stayed = foreman.post("/api/chat", &chat(A, "hi")).await;

    assert_eq!(content(&passed.json()), "echo: hi");
    assert_eq!((stayed.status(), stayed.text().as_str()), (500, BOOM));
    assert_eq!(chats(&stub) - before, 3);
}

#[rstest]
#[case::without_a_word(None)]
#[case::with_a_time(Some("0"))]
#[tokio::test]
async fn a_busy_target_is_waited_for_twenty_times_in_order_and_at_no_cost(
    #[case] retry_after: Option<&str>,
) {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let busy = r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#;
    let rule = FaultRule::always(status(503, busy, retry_after)).times(20);
    strike(&stub, rule);
    let mut waiting = Vec::new();
    for n in 0..3 {
        let body = chat(A, &format!("number {n}."));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
        foreman_tests::eventually("the job to be there", || async {
            let queue = &foreman.health().await["queue"];
            let of = |state: &str| queue[state].as_u64().unwrap();
            of("queued") + of("loading") + of("working") == n + 1
        })
        .await;
    }
    for (n, exchange) in waiting.into_iter().enumerate() {
        let reply = exchange.reply().await.json();
        assert!(content(&reply).contains(&format!("number {n}.")));
    }

    assert_eq!(
        chats(&stub),
        23,
        "no request more than one for each refusal"
    );
    let rows = rusqlite::Connection::open(foreman.database()).unwrap();
    let spent: i64 = rows
        .query_row("SELECT sum(attempt) FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(spent, 0);
}

#[rstest]
#[case("0")]
#[case("-1")]
#[case("soon")]
#[case("Wed, 21 Oct 2015 07:28:00 GMT")]
#[case("99999999999999999999999")]
#[tokio::test]
async fn odd_times_to_come_again_do_no_harm(#[case] retry_after: &str) {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let many = status(429, r#"{"error":"too many"}"#, Some(retry_after));
    strike(&stub, FaultRule::once(many));

    let reply = foreman.post("/api/chat", &chat(A, "hi")).await;

    assert_eq!(content(&reply.json()), "echo: hi");
    assert_eq!(chats(&stub), 2);
}

#[tokio::test]
async fn a_model_that_the_target_lost_fails_its_job_alone_and_the_next_is_tried() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let lost = r#"{"error":"model 'llama3.2:1b' not found"}"#;
    strike(&stub, FaultRule::once(status(404, lost, None)).for_model(A));

    let first = foreman.post("/api/chat", &chat(A, "first")).await;
    let other = foreman.post("/api/chat", &chat(B, "other")).await;

    assert_eq!((first.status(), first.text().as_str()), (404, lost));
    assert_eq!(content(&other.json()), "echo: other");
    goes_on(&foreman).await;
    assert_eq!(chats(&stub), 3);
}

#[tokio::test]
async fn one_refused_job_among_fifty_fails_alone() {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    let bad = status(400, r#"{"error":"bad"}"#, None);
    strike(&stub, FaultRule::once(bad).after(20));
    let mut waiting = Vec::new();
    for n in 0..50 {
        let body = chat(A, &format!("{n}"));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }
    let mut failed = 0;
    for exchange in waiting {
        let reply = exchange.reply().await;
        if reply.status() == 400 {
            failed += 1;
        } else {
            assert_eq!(reply.status(), 200);
        }
    }

    assert_eq!((failed, chats(&stub)), (1, 50));
}
