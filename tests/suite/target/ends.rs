//! Answers that break off, at each place where they can.

use foreman_stub::{Fault, FaultRule, Hold};
use foreman_tests::{Exchange, Pair, chat, chat_stream, stub};
use rstest::rstest;

use super::{chats, goes_on};
use crate::{A, content, foreman};

/// Eleven tokens with the end.
const PROMPT: &str = "stub:tokens=10";

#[rstest]
#[tokio::test]
async fn an_answer_that_broke_off_under_its_caller_ends_with_one_error_and_is_not_begun_again(
    #[values(1, 9, 10)] lines: usize,
    #[values(Fault::ResetAfter, Fault::CloseAfter, Fault::EndAfter)] how: fn(usize) -> Fault,
) {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    stub.inject(FaultRule::once(how(lines)).on_path("/api/chat"));
    let gate = stub.hold(Hold::after_chunks(1));
    let body = chat_stream(A, PROMPT);
    let mut exchange = Exchange::post(foreman.url(), "/api/chat", &body).await;
    exchange.chunk().await.unwrap();
    gate.release();

    let reply = exchange.reply().await;

    assert!(reply.clean);
    let lines = reply.lines();
    assert!(lines.last().unwrap()["error"].is_string());
    assert_eq!(lines.iter().filter(|it| it["error"].is_string()).count(), 1);
    assert!(lines.iter().all(|line| line["done"] != true));
    assert_eq!(chats(&stub), 1);
    let rows = rusqlite::Connection::open(foreman.database()).unwrap();
    let state: String = rows
        .query_row("SELECT state FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(state, "failed");
    goes_on(&foreman).await;
}

#[rstest]
#[case::reset_before_the_head(Fault::ResetBeforeHead)]
#[case::closed_before_the_head(Fault::CloseBeforeHead)]
#[case::reset_after_the_head(Fault::ResetAfter(0))]
#[case::closed_after_the_head(Fault::CloseAfter(0))]
#[case::too_short(Fault::ShortBody)]
#[tokio::test]
async fn what_nobody_has_seen_is_begun_again_and_gives_one_clean_answer(#[case] fault: Fault) {
    let Pair { stub, foreman } = Pair::start(stub(), foreman()).await;
    stub.inject(FaultRule::once(fault).on_path("/api/chat"));

    let reply = foreman.post("/api/chat", &chat(A, "one two")).await;

    assert_eq!((reply.status(), reply.clean), (200, true));
    assert_eq!(content(&reply.json()), "echo: one two");
    assert!(chats(&stub) >= 2);
}
