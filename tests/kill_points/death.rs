//! How a request and the death of its foreman are brought together.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use foreman_stub::{Fault, FaultRule, Hold, Stub};
use foreman_tests::{Books, Builder, Exchange, Foreman, eventually, request, within};

use crate::case::{ANSWER, Case, Form, text};

/// What is left.
pub(crate) struct Corpse {
    pub(crate) stub: Stub,
    pub(crate) foreman: Builder,
    pub(crate) books: Books,
    pub(crate) seen: Seen,
    /// How often the target was asked.
    pub(crate) asked: usize,
}

/// What the caller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Nothing,
    /// That its request is this job.
    Taken(String),
    /// So much of its answer.
    Begun(String),
}

/// Lets a foreman die.
pub(crate) async fn of(case: &Case) -> Corpse {
    let stub = foreman_tests::stub().start().await.unwrap();
    let foreman = case.alive().target(&stub.url());
    let seen = match case.step() {
        "migrate" => {
            assert_killed(case, case.doomed(foreman.again()).ends().await);
            Seen::Nothing
        }
        "recovery" => in_recovery(case, &stub, &foreman).await,
        "prune" => in_retention(case, &foreman).await,
        "promote" => at_the_end_of_a_rest(case, &stub, &foreman).await,
        _ => in_the_middle(case, &stub, &foreman).await,
    };
    let books = Books::of_dead(&foreman.directory().join("foreman.db"));
    let asked = stub.record().on("/api/chat").count();
    Corpse {
        stub,
        foreman,
        books,
        seen,
        asked,
    }
}

fn assert_killed(case: &Case, status: ExitStatus) {
    assert_eq!(status.signal(), Some(9), "{case}: {status}");
}

/// The last life left a running job; the next two die over it, or over its absence.
async fn in_recovery(case: &Case, stub: &Stub, foreman: &Builder) -> Seen {
    let gate = stub.hold(Hold::before_first_token());
    let mut first = foreman.again().start().await;
    let exchange = case.send(&first).await;
    gate.reached().await;
    first.kill().await;
    gate.release();
    for _ in 0..2 {
        assert_killed(case, case.doomed(foreman.again()).ends().await);
    }
    seen(case, exchange).await
}

/// The last life left an ended job whose time is over.
async fn in_retention(case: &Case, foreman: &Builder) -> Seen {
    let keeping = foreman.again().set("RETAIN_BODIES", "1h");
    let mut first = keeping.set("RETAIN_JOBS", "1h").start().await;
    case.send(&first).await.reply().await;
    eventually("an ended job", || async {
        first.health().await["queue"]["queued"] == 0
            && first.log().lines().iter().any(|line| line["to"] == "done")
    })
    .await;
    first.kill().await;
    assert_killed(case, case.doomed(foreman.again()).ends().await);
    Seen::Nothing
}

/// The last life left a job that rests after a failure, and the next one wakes it.
async fn at_the_end_of_a_rest(case: &Case, stub: &Stub, foreman: &Builder) -> Seen {
    fail_once(stub);
    let mut first = resting(foreman.again()).start().await;
    let exchange = case.send(&first).await;
    first
        .log()
        .until("a job that rests", |lines| {
            lines
                .iter()
                .any(|line| line["to"] == "queued" && line["from"] != "none")
        })
        .await;
    first.kill().await;
    // What is ready may be claimed before the one that made it ready dies, but not answered.
    let gate = stub.hold(Hold::before_first_token());
    assert_killed(case, case.doomed(foreman.again()).ends().await);
    gate.release();
    seen(case, exchange).await
}

/// Lets the target fail in a way that spends an attempt, also on a connection that may be stale.
fn fail_once(stub: &Stub) {
    let failure = Fault::Status {
        status: 502,
        body: String::new(),
        retry_after: None,
    };
    stub.inject(FaultRule::once(failure).on_path("/api/chat"));
}

/// A foreman that lets jobs rest for long.
pub(crate) fn resting(builder: Builder) -> Builder {
    builder.set("RETRY_BASE", "10m").set("RETRY_MAX", "10m")
}

/// The foreman that has the request dies.
async fn in_the_middle(case: &Case, stub: &Stub, foreman: &Builder) -> Seen {
    let gate = match case.step() {
        "accept" | "cancel" => Some(stub.hold(Hold::before_first_token())),
        "start" | "chunk" => Some(stub.hold(Hold::after_chunks(1))),
        "after_first_chunk" if case.form != Form::Whole => Some(stub.hold(Hold::after_chunks(1))),
        _ => None,
    };
    let mut doomed = case.doomed(foreman.again());
    if case.step() == "requeue" {
        fail_once(stub);
        doomed = resting(doomed);
    }
    let mut doomed = doomed.start().await;
    let mut exchange = case.send(&doomed).await;
    let mut first = None;
    match (case.step(), &gate) {
        ("cancel", Some(gate)) => {
            gate.reached().await;
            cancel(&doomed).await;
        }
        ("after_first_chunk", Some(gate)) => {
            gate.reached().await;
            if case.form == Form::Stream {
                first = exchange.chunk().await;
                assert!(first.is_some(), "{case}");
            }
            gate.release();
        }
        _ => {}
    }
    assert_killed(case, doomed.exit().await);
    if let Some(gate) = gate {
        gate.release();
    }
    match (first, seen(case, exchange).await) {
        (Some(first), Seen::Nothing) => Seen::Begun(text(&String::from_utf8(first).unwrap())),
        (Some(first), Seen::Begun(rest)) => {
            let first = text(&String::from_utf8(first).unwrap());
            Seen::Begun(format!("{first}{rest}"))
        }
        (_, seen) => seen,
    }
}

/// Asks to cancel the only job, and gets no answer.
async fn cancel(doomed: &Foreman) {
    let jobs = doomed.get("/foreman/v1/jobs").await.json();
    let id = jobs["jobs"][0]["id"].as_str().unwrap();
    let path = format!("/foreman/v1/jobs/{id}/cancel");
    let exchange = Exchange::send_raw(doomed.url(), &request("POST", &path, &[], b"")).await;
    let reply = within("the end of the connection", exchange.try_reply()).await;
    assert!(reply.is_none(), "{reply:?}");
}

/// Reads what came before the connection broke.
async fn seen(case: &Case, exchange: Exchange) -> Seen {
    let reply = within("the end of the connection", exchange.try_reply()).await;
    let Some(reply) = reply else {
        return Seen::Nothing;
    };
    let job = reply.head.header("x-foreman-job-id").map(str::to_owned);
    if reply.status() == 202 {
        return Seen::Taken(job.unwrap());
    }
    assert_eq!(reply.status(), 200, "{case}");
    // An end that was told must be true, and in no case was there one.
    assert!(!reply.clean, "{case}: {}", reply.text());
    assert!(!reply.text().contains("\"done\":true"), "{case}");
    let text = text(&reply.text());
    assert!(ANSWER.starts_with(&text), "{case}: {text}");
    Seen::Begun(text)
}
