//! Foreman is asked to end.

use foreman_stub::Hold;
use foreman_tests::{Books, Exchange, Pair, chat, eventually, stub};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{A, EMBEDDER, content, foreman};

#[tokio::test]
async fn a_signal_lets_the_running_chat_end_and_keeps_the_waiting_ones() {
    let Pair { stub, mut foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;
    let waiting = Exchange::post(foreman.url(), "/api/chat", &chat(A, "waiting")).await;
    eventually("a queue of one", || async {
        foreman.health().await["queue"]["queued"] == 1
    })
    .await;

    foreman.signal(Signal::TERM);
    let told = waiting.reply().await;
    gate.release();
    let answer = running.reply().await.json();
    let exit = foreman.exit().await;

    assert_eq!(told.status(), 503);
    assert!(told.head.header("retry-after").is_some());
    assert!(told.head.header("x-foreman-job-id").is_some());
    assert_eq!(content(&answer), "echo: running");
    assert_eq!(exit.code(), Some(0));
    let next = crate::foreman()
        .after(&foreman)
        .target(&stub.url())
        .start()
        .await;
    stub.wait_for("the waiting chat", |record| {
        record
            .on("/api/chat")
            .any(|it| it.body_text().contains("waiting"))
    })
    .await
    .unwrap();
    drop(next);
}

#[tokio::test]
async fn the_log_of_an_orderly_end_has_a_line_for_each_request() {
    let Pair { stub, mut foreman } = Pair::start(stub(), foreman()).await;
    for number in 0..50 {
        let body = json!({"model": EMBEDDER, "input": number.to_string()});
        assert_eq!(foreman.post("/api/embed", &body).await.status(), 200);
    }

    foreman.signal(Signal::TERM);
    let exit = foreman.exit().await;

    assert_eq!(exit.code(), Some(0));
    assert_eq!(foreman.log().having("http.route", "direct").len(), 50);
    drop(stub);
}

#[tokio::test]
async fn a_second_signal_puts_the_running_job_back_at_once() {
    let Pair { stub, mut foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;

    foreman.signal(Signal::TERM);
    foreman
        .log()
        .until("the first signal", |lines| {
            lines.iter().any(|line| line["message"] == "shutting down")
        })
        .await;
    foreman.signal(Signal::TERM);
    let told = running.reply().await;
    let exit = foreman.exit().await;

    assert_eq!(told.status(), 503);
    assert_eq!(exit.code(), Some(130));
    gate.release();
    let next = crate::foreman()
        .after(&foreman)
        .target(&stub.url())
        .start()
        .await;
    next.until_idle().await;
    assert_eq!(stub.record().on("/api/chat").count(), 2);
}

#[tokio::test]
async fn an_idle_foreman_ends_at_once_and_opens_clean() {
    let Pair { stub, mut foreman } = Pair::start(stub(), foreman()).await;
    foreman.post("/api/chat", &chat(A, "hi")).await;

    foreman.signal(Signal::INT);

    assert_eq!(foreman.exit().await.code(), Some(0));
    let next = crate::foreman()
        .after(&foreman)
        .target(&stub.url())
        .start()
        .await;
    assert_eq!(next.log().having("found.clean", true).len(), 1);
}

#[tokio::test]
async fn a_hundred_that_wait_are_told_and_run_after_the_restart() {
    let Pair { stub, mut foreman } = Pair::start(stub(), foreman()).await;
    let gate = stub.hold(Hold::before_first_token());
    let running = Exchange::post(foreman.url(), "/api/chat", &chat(A, "running")).await;
    gate.reached().await;
    let mut waiting = Vec::new();
    for n in 0..100 {
        let body = chat(A, &format!("number {n}."));
        waiting.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }
    eventually("a queue of 100", || async {
        foreman.health().await["queue"]["queued"] == 100
    })
    .await;

    foreman.signal(Signal::TERM);
    let mut told = Vec::new();
    for exchange in waiting {
        told.push(exchange.reply().await);
    }
    gate.release();
    let answer = running.reply().await.json();
    let exit = foreman.exit().await;

    for reply in &told {
        assert_eq!(reply.status(), 503);
        assert!(reply.head.header("retry-after").is_some());
        assert!(reply.head.header("x-foreman-job-id").is_some());
    }
    assert_eq!((content(&answer), exit.code()), ("echo: running", Some(0)));
    let next = crate::foreman()
        .after(&foreman)
        .target(&stub.url())
        .start()
        .await;
    next.until_idle().await;
    let books = Books::read(&next.database());
    assert_eq!(books.rows.len(), 101);
    assert!(books.rows.iter().all(|row| row.state == "done"));
    for reply in told {
        let id = reply.head.header("x-foreman-job-id").unwrap();
        assert!(books.job(id).is_some(), "{id}");
    }
}

#[tokio::test]
async fn a_hangup_and_an_output_that_nobody_reads_end_nothing() {
    let stub = stub().start().await.unwrap();
    let foreman = foreman().target(&stub.url());
    let mut child = foreman.command().arg("serve").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, url)) = line.split_once("listening on ") {
            break url.trim().to_owned();
        }
    };
    // From now on everything it writes meets a closed pipe.
    drop((lines, child.stderr.take()));
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::HUP).unwrap();

    for prompt in ["one", "two"] {
        let exchange = Exchange::post(&url, "/api/chat", &chat(A, prompt)).await;
        let reply = exchange.reply().await;
        assert_eq!(content(&reply.json()), format!("echo: {prompt}"));
    }

    assert!(child.try_wait().unwrap().is_none());
}
