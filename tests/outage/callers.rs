//! Callers that ask again and again, and what they got.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foreman_tests::{Exchange, Reply, chat, request};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const MODEL: &str = "llama3.2:1b";

/// Nobody waits longer than that beyond the trouble itself.
const STUCK: Duration = Duration::from_mins(3);

/// Each caller rests between two requests, so that the target is not busy all the time.
const REST: Duration = Duration::from_millis(200);

/// What callers got.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: usize,
    pub(crate) answered: usize,
    pub(crate) longest: Duration,
    /// What should not have been said.
    pub(crate) faults: Vec<String>,
}

/// The callers at work.
pub(crate) struct Crowd {
    callers: JoinSet<Tally>,
    answered: Arc<AtomicUsize>,
    stop: CancellationToken,
}

/// One of them.
struct Caller {
    number: usize,
    url: String,
    patience: Duration,
    answered: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Crowd {
    /// Starts so many, half of which wait for their answers; the others look for them later.
    pub(crate) fn start(url: &str, callers: usize, trouble: Duration) -> Self {
        let answered = Arc::<AtomicUsize>::default();
        let stop = CancellationToken::new();
        let mut crowd = JoinSet::new();
        for number in 0..callers {
            let caller = Caller {
                number,
                url: url.to_owned(),
                patience: trouble + STUCK,
                answered: Arc::clone(&answered),
                stop: stop.clone(),
            };
            crowd.spawn(caller.run());
        }
        Self {
            callers: crowd,
            answered,
            stop,
        }
    }

    /// How many answers there were so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Lets everybody get the answer it waits for, and adds up.
    pub(crate) async fn stop(mut self) -> Tally {
        self.stop.cancel();
        let mut sum = Tally::default();
        while let Some(tally) = self.callers.join_next().await {
            let tally = tally.expect("a caller");
            sum.requests += tally.requests;
            sum.answered += tally.answered;
            sum.longest = sum.longest.max(tally.longest);
            sum.faults.extend(tally.faults);
        }
        sum
    }
}

impl Caller {
    async fn run(self) -> Tally {
        let mut tally = Tally::default();
        while !self.stop.is_cancelled() {
            let prompt = format!("caller {} request {}.", self.number, tally.requests);
            tally.requests += 1;
            let began = Instant::now();
            let asked = async {
                if self.number.is_multiple_of(2) {
                    self.wait(&prompt).await
                } else {
                    self.look_later(&prompt).await
                }
            };
            match timeout(self.patience, asked).await {
                Ok(Ok(answer)) if answer == format!("echo: {prompt}") => {
                    tally.answered += 1;
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Ok(other)) => tally.faults.push(format!("{prompt} {other}")),
                Ok(Err(fault)) => tally.faults.push(format!("{prompt} {fault}")),
                Err(_elapsed) => tally.faults.push(format!("{prompt} was not answered")),
            }
            tally.longest = tally.longest.max(began.elapsed());
            sleep(REST).await;
        }
        tally
    }

    /// Waits for an answer in one piece.
    async fn wait(&self, prompt: &str) -> Result<String, String> {
        let reply = self.post("/api/chat", &chat(MODEL, prompt)).await?;
        text(&reply)
    }

    /// Leaves a job, and asks for it until it has ended.
    async fn look_later(&self, prompt: &str) -> Result<String, String> {
        let job = json!({"endpoint": "/api/chat", "request": chat(MODEL, prompt)});
        let made = self.post("/foreman/v1/jobs", &job).await?.json();
        let id = made["id"].as_str().ok_or_else(|| made.to_string())?;
        let path = format!("/foreman/v1/jobs/{id}");
        loop {
            let job = self.get(&format!("{path}?wait=30s")).await?.json();
            if !job["finished_at"].is_null() {
                return text(&self.get(&format!("{path}/output")).await?);
            }
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Reply, String> {
        let headers = [("Content-Type", "application/json")];
        let body = body.to_string();
        self.ask(&request("POST", path, &headers, body.as_bytes()))
            .await
    }

    async fn get(&self, path: &str) -> Result<Reply, String> {
        self.ask(&request("GET", path, &[], b"")).await
    }

    async fn ask(&self, bytes: &[u8]) -> Result<Reply, String> {
        let exchange = Exchange::try_send(&self.url, bytes).await;
        let exchange = exchange.map_err(|error| error.to_string())?;
        let reply = exchange.try_reply().await;
        reply
            .filter(|reply| reply.clean)
            .ok_or_else(|| "the connection broke".to_owned())
    }
}

/// Returns the text of an answer, or what was said in its place.
fn text(reply: &Reply) -> Result<String, String> {
    let body: Value = serde_json::from_str(&reply.text()).unwrap_or_default();
    let content = body["message"]["content"].as_str();
    let content = content.filter(|_| reply.status() == 200 && body["done"] == true);
    content
        .map(str::to_owned)
        .ok_or_else(|| format!("status {}: {}", reply.status(), reply.text()))
}
