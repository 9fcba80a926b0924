//! Many callers at once, who wait in one line or leave it together.

use std::time::Duration;

use foreman_stub::{Hold, Stub};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::{Books, Exchange, Foreman, Reply, chat, chat_stream};

const MODEL: &str = "llama3.2:1b";

/// How often the queue is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What came of a crowd that waited.
#[derive(Debug, Clone, Copy)]
pub struct Waited {
    /// Callers that got their own answer.
    pub answered: usize,
    /// Whether the target was asked in the order of acceptance.
    pub in_order: bool,
    /// What each waiting caller costs in resident memory.
    pub bytes_each: u64,
    /// Until all were accepted.
    pub entering: Duration,
    /// Until all were answered.
    pub serving: Duration,
}

/// What came of a crowd that left.
#[derive(Debug, Clone, Copy)]
pub struct Left {
    /// Jobs that were cancelled.
    pub cancelled: usize,
    /// Jobs of them that reached the target all the same.
    pub reached: usize,
    /// Commits of the store meanwhile.
    pub commits: u64,
    /// Until all were cancelled.
    pub leaving: Duration,
    /// Until one who came while they left was accepted.
    pub bystander: Duration,
}

/// Lets callers wait for one slot until all of them wait, and then answers them.
pub async fn wait_in_line(stub: &Stub, foreman: &Foreman, callers: usize) -> Waited {
    let gate = stub.hold(Hold::before_first_token());
    let began = Instant::now();
    let mut line = enter(foreman, 0..1).await;
    gate.reached().await;
    let before = foreman.memory();
    line.extend(enter(foreman, 1..callers).await);
    until_queued(foreman, callers.saturating_sub(1)).await;
    let entering = began.elapsed();
    let after = foreman.memory();
    let began = Instant::now();
    gate.release();
    let mut reading = JoinSet::new();
    for (n, exchange) in line.into_iter().enumerate() {
        reading.spawn(async move { is_answer_of(n, exchange.try_reply().await) });
    }
    let answered = reading.join_all().await;
    let serving = began.elapsed();
    let accepted = Books::read(&foreman.database()).rows.into_iter();
    let accepted: Vec<_> = accepted.filter_map(|row| prompt(&row.request?)).collect();
    let record = stub.record();
    let asked = record.on("/api/chat");
    let asked: Vec<_> = asked
        .filter_map(|request| prompt(request.body_text().as_bytes()))
        .collect();
    Waited {
        answered: answered.into_iter().filter(|it| *it).count(),
        in_order: accepted == asked,
        bytes_each: after.saturating_sub(before) / u64::try_from(callers).expect("a number"),
        entering,
        serving,
    }
}

/// Lets callers wait for one slot, and all but the first leave in the same moment.
pub async fn leave_at_once(stub: &Stub, foreman: &Foreman, callers: usize) -> Left {
    let gate = stub.hold(Hold::before_first_token());
    let first = Exchange::post(foreman.url(), "/api/chat", &chat(MODEL, "the first")).await;
    gate.reached().await;
    let line = enter(foreman, 0..callers).await;
    until_queued(foreman, callers).await;
    let asked = stub.record().on("/api/chat").count();
    let commits = commits(foreman).await;
    let began = Instant::now();
    drop(line);
    let body = chat(MODEL, "the bystander");
    let headers = [("Prefer", "respond-async")];
    let accepted = Exchange::post_with(foreman.url(), "/api/chat", &headers, &body).await;
    let accepted = accepted.reply().await;
    let bystander = began.elapsed();
    until_queued(foreman, 1).await;
    let leaving = began.elapsed();
    let commits = self::commits(foreman).await.saturating_sub(commits);
    gate.release();
    first.reply().await;
    let id = accepted.json();
    let id = id.get("id").and_then(Value::as_str).expect("a job");
    let path = format!("/foreman/v1/jobs/{id}?wait=1m");
    foreman.get(&path).await;
    let rows = Books::read(&foreman.database()).rows;
    Left {
        cancelled: rows.iter().filter(|row| row.state == "cancelled").count(),
        reached: stub
            .record()
            .on("/api/chat")
            .count()
            .saturating_sub(asked + 1),
        commits,
        leaving,
        bystander,
    }
}

async fn enter(foreman: &Foreman, numbers: std::ops::Range<usize>) -> Vec<Exchange> {
    let mut line = Vec::new();
    for n in numbers {
        let body = chat_stream(MODEL, &format!("number {n}."));
        line.push(Exchange::post(foreman.url(), "/api/chat", &body).await);
    }
    line
}

async fn until_queued(foreman: &Foreman, jobs: usize) {
    while queued(foreman).await != Some(jobs) {
        sleep(LOOK).await;
    }
}

async fn queued(foreman: &Foreman) -> Option<usize> {
    let health = foreman.health().await;
    usize::try_from(health.pointer("/queue/queued")?.as_u64()?).ok()
}

async fn commits(foreman: &Foreman) -> u64 {
    let metrics = foreman.get("/metrics").await.text();
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("foreman_store_commit_commands_count "));
    count.and_then(|count| count.parse().ok()).expect("a count")
}

fn is_answer_of(n: usize, reply: Option<Reply>) -> bool {
    let Some(reply) = reply.filter(|reply| reply.clean) else {
        return false;
    };
    let lines = reply.lines();
    let content = |line: &Value| {
        let content = line.pointer("/message/content")?;
        Some(content.as_str()?.to_owned())
    };
    let text: Option<String> = lines.iter().map(content).collect();
    text == Some(format!("echo: number {n}."))
}

fn prompt(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let content = body.pointer("/messages/0/content")?;
    Some(content.as_str()?.to_owned())
}
