//! What callers do, over and over, whatever becomes of their foreman.

use std::sync::Arc;
use std::time::Duration;

use foreman_stub::Stub;
use foreman_tests::{Exchange, Reply, chat, chat_stream, request};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::history::{Entry, History, Kind};

const MODELS: [&str; 2] = ["llama3.2:1b", "gemma3:270m"];

const EMBEDDER: &str = "all-minilm:latest";

/// Pause before one that is not there is looked for again.
const PAUSE: Duration = Duration::from_millis(15);

/// Nothing takes this long, however often foreman is killed meanwhile.
const STUCK: Duration = Duration::from_mins(3);

/// One caller.
pub(crate) struct Caller {
    pub(crate) number: usize,
    pub(crate) url: watch::Receiver<String>,
    pub(crate) stub: Arc<Stub>,
    pub(crate) history: Arc<History>,
    pub(crate) stop: CancellationToken,
    pub(crate) seed: u64,
}

/// Returns the token of a caller, by which it owns its jobs.
pub(crate) fn token(caller: usize) -> String {
    format!("sesame-{caller}-open")
}

/// Returns a request for one that is not new.
pub(crate) fn ask(method: &str, path: &str, owner: usize) -> Vec<u8> {
    let bearer = format!("Bearer {}", token(owner));
    request(method, path, &[("Authorization", &bearer)], b"")
}

/// Returns the text of an answer; none where a line is no part of one.
pub(crate) fn text(body: &str) -> Option<String> {
    let mut text = String::new();
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        // The last line may have been cut.
        let value: Value = match serde_json::from_str(line) {
            Ok(value) => value,
            Err(_) if lines.peek().is_none() => return Some(text),
            Err(_) => return None,
        };
        text.push_str(value.pointer("/message/content")?.as_str()?);
        if value.get("done") == Some(&Value::Bool(true)) && lines.peek().is_some() {
            return None;
        }
    }
    Some(text)
}

impl Caller {
    /// Asks until it is told to stop.
    pub(crate) async fn run(self) {
        let mut random = SmallRng::seed_from_u64(self.seed);
        while !self.stop.is_cancelled() {
            let kind = match random.random_range(0..12) {
                0..2 => Kind::Stream,
                2..4 => Kind::Whole,
                4..7 => Kind::Keyed,
                7..9 => Kind::Async,
                9 => Kind::Cancel,
                10 => Kind::Leave,
                _ => {
                    self.embed().await;
                    continue;
                }
            };
            let words = random.random_range(1..12);
            let mut entry = self.history.begin(self.number, kind, words);
            let act = self.act(&mut entry, &mut random);
            if timeout(STUCK, act).await.is_err() {
                entry.oddities.push("never came to an end".to_owned());
            }
            self.history.end(entry);
        }
    }

    async fn act(&self, entry: &mut Entry, random: &mut SmallRng) {
        let model = MODELS[random.random_range(0..MODELS.len())];
        let streamed = chat_stream(model, &entry.prompt);
        let whole = chat(model, &entry.prompt);
        match entry.kind {
            Kind::Stream => self.once(entry, &streamed, &[]).await,
            Kind::Whole => self.once(entry, &whole, &[]).await,
            Kind::Keyed => {
                let body = if random.random() { streamed } else { whole };
                let key = entry.prompt.clone();
                while !entry.is_over() {
                    self.once(entry, &body, &[("Idempotency-Key", &key)]).await;
                }
            }
            Kind::Async => {
                let key = entry.prompt.clone();
                while entry.jobs.is_empty() && !entry.is_over() {
                    let headers = [("Prefer", "respond-async"), ("Idempotency-Key", &key)];
                    self.once(entry, &streamed, &headers).await;
                }
                self.fetch(entry).await;
            }
            Kind::Cancel => {
                self.once(entry, &whole, &[("Prefer", "respond-async")])
                    .await;
                self.cancel(entry).await;
            }
            Kind::Leave => {
                entry.sends += 1;
                let sent = self.send(&streamed, &[]).await;
                sleep(Duration::from_millis(random.random_range(0..40))).await;
                drop(sent);
            }
        }
    }

    /// Sends a request once, and notes what comes.
    async fn once(&self, entry: &mut Entry, body: &Value, headers: &[(&str, &str)]) {
        entry.sends += 1;
        let Some(exchange) = self.send(body, headers).await else {
            return sleep(PAUSE).await;
        };
        let Some(reply) = exchange.try_reply().await else {
            return;
        };
        if let Some(job) = reply.head.header("x-foreman-job-id") {
            let job = job.to_owned();
            if !entry.jobs.contains(&job) {
                entry.jobs.push(job);
            }
        }
        self.note(entry, &reply);
    }

    fn note(&self, entry: &mut Entry, reply: &Reply) {
        let body = reply.text();
        match reply.status() {
            202 => {}
            200 if reply.head.header("preference-applied").is_some() => {}
            200 => match text(&body) {
                None => entry.oddities.push(format!("no answer: {body}")),
                Some(text) if reply.clean && body.contains("\"done\":true") => {
                    entry.answers.push((text, self.stub.counts().requests));
                }
                Some(text) => entry.parts.push(text),
            },
            500 if body.contains("the job was running at 3 crashes") => entry.poisoned = true,
            status => entry.oddities.push(format!("status {status}: {body}")),
        }
    }

    /// Waits for the end of a job that was acknowledged, and gets its answer.
    async fn fetch(&self, entry: &mut Entry) {
        let Some(id) = entry.jobs.first().cloned() else {
            return;
        };
        let path = format!("/foreman/v1/jobs/{id}");
        while !entry.is_over() {
            let Some(reply) = self.get(&format!("{path}?wait=5s")).await else {
                continue;
            };
            if reply.status() != 200 {
                let oddity = format!("status {} for a job that was acknowledged", reply.status());
                return entry.oddities.push(oddity);
            }
            if reply.json()["finished_at"].is_null() {
                continue;
            }
            if let Some(output) = self.get(&format!("{path}/output")).await {
                self.note(entry, &output);
            }
        }
    }

    async fn cancel(&self, entry: &mut Entry) {
        let Some(id) = entry.jobs.first().cloned() else {
            return;
        };
        let bytes = ask(
            "POST",
            &format!("/foreman/v1/jobs/{id}/cancel"),
            self.number,
        );
        while !self.stop.is_cancelled() {
            let Some(reply) = self.exchange(&bytes).await else {
                continue;
            };
            entry.cancelled = reply.json()["state"] == "cancelled";
            if ![200, 202].contains(&reply.status()) {
                let oddity = format!("status {} for a cancel", reply.status());
                entry.oddities.push(oddity);
            }
            return;
        }
    }

    async fn embed(&self) {
        let body = json!({"model": EMBEDDER, "input": "hello"}).to_string();
        let bearer = format!("Bearer {}", token(self.number));
        let headers = [("Authorization", bearer.as_str())];
        let bytes = request("POST", "/api/embed", &headers, body.as_bytes());
        let reply = self.exchange(&bytes).await;
        self.history.embedded(|embeds| match reply {
            None => embeds.lost += 1,
            Some(reply) if reply.status() == 200 && reply.json()["embeddings"][0].is_array() => {
                embeds.right += 1;
            }
            Some(_) => embeds.wrong += 1,
        });
    }

    async fn get(&self, path: &str) -> Option<Reply> {
        self.exchange(&ask("GET", path, self.number)).await
    }

    async fn exchange(&self, bytes: &[u8]) -> Option<Reply> {
        let url = self.url.borrow().clone();
        let Ok(exchange) = Exchange::try_send(&url, bytes).await else {
            sleep(PAUSE).await;
            return None;
        };
        exchange.try_reply().await.filter(|reply| reply.clean)
    }

    async fn send(&self, body: &Value, headers: &[(&str, &str)]) -> Option<Exchange> {
        let bearer = format!("Bearer {}", token(self.number));
        let mut all = vec![("Content-Type", "application/json")];
        all.push(("Authorization", &bearer));
        all.extend_from_slice(headers);
        let bytes = request("POST", "/api/chat", &all, body.to_string().as_bytes());
        let url = self.url.borrow().clone();
        Exchange::try_send(&url, &bytes).await.ok()
    }
}
