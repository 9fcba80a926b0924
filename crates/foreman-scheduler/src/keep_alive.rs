//! How long the target keeps the worker's model, and when a caller's own wish about it counts.
//!
//! Within a drain every job carries the worker's keep-alive: a caller that asks for an unload must
//! not cost the next job a load. When the drain ends, the last wish of a caller is passed on.

use std::time::Duration;

use bytes::Bytes;
use foreman_job::{Endpoint, Job, RunnerKey};
use foreman_ollama::{KeepAlive, OllamaClient, RequestHead};
use serde_json::{Map, Value, json};
use tracing::debug;

use crate::classify;
use crate::residency::STANDS;

/// The request neither loads nor generates: the target answers at once or is in trouble.
const PATIENCE: Duration = Duration::from_secs(10);

/// The target's answer is one small object.
const MAX_ANSWER: usize = 64 * 1024;

/// Remembers the wish that is to be passed on when the drain ends.
#[derive(Debug)]
pub(crate) struct KeepAlivePolicy {
    /// What every job of a drain carries.
    own: KeepAlive,
    owed: Option<Wish>,
}

/// A model that a caller wants to be unloaded as soon as its drain has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unloading {
    pub(crate) model: String,
    pub(crate) runner: RunnerKey,
}

#[derive(Debug, Clone, PartialEq)]
struct Wish {
    model: String,
    runner: RunnerKey,
    keep_alive: KeepAlive,
}

impl KeepAlivePolicy {
    pub(crate) const fn new(own: KeepAlive) -> Self {
        Self { own, owed: None }
    }

    /// Notes the wish that came with a job which the target has answered.
    pub(crate) fn note(&mut self, job: &Job, head: Option<&RequestHead>) {
        let asked = head.and_then(|head| head.keep_alive);
        self.owed = match (job.endpoint, asked) {
            (Endpoint::Chat | Endpoint::Generate, None) => None,
            (Endpoint::Chat | Endpoint::Generate, Some(asked)) => {
                (asked != self.own).then(|| Wish::of(job, asked))
            }
            // Other APIs cannot say it, so the model was loaded with the target's default.
            (
                Endpoint::V1ChatCompletions
                | Endpoint::V1Completions
                | Endpoint::V1Responses
                | Endpoint::V1Messages
                | Endpoint::V1AudioTranscriptions,
                _,
            ) => Some(Wish::of(job, self.own)),
        };
    }

    /// Passes on what was wished; the drain has ended. A model that is to be unloaded is unloaded,
    /// whatever else was wished. Tells whether one goes while it is taken for loaded.
    pub(crate) async fn honour(
        &mut self,
        client: &dyn OllamaClient,
        unloads: Vec<Unloading>,
    ) -> bool {
        let mut wishes: Vec<Wish> = unloads.into_iter().map(Wish::from).collect();
        wishes.extend(self.owed.take().filter(|_| wishes.is_empty()));
        let soon = |wish: &Wish| matches!(wish.keep_alive, KeepAlive::For(time) if time < STANDS);
        let any_soon = wishes.iter().any(soon);
        for wish in wishes {
            wish.pass_on(client).await;
        }
        any_soon
    }
}

impl From<Unloading> for Wish {
    fn from(Unloading { model, runner }: Unloading) -> Self {
        Self {
            model,
            runner,
            keep_alive: KeepAlive::For(Duration::ZERO),
        }
    }
}

impl Wish {
    async fn pass_on(self, client: &dyn OllamaClient) {
        let wish = self;
        let sent = tokio::time::timeout(PATIENCE, wish.send(client)).await;
        // A wish that cannot be passed on costs memory at the target, until its own limit.
        match sent {
            Ok(Ok(())) => {
                debug!(model = wish.model, keep_alive = ?wish.keep_alive, "keep-alive is passed on");
            }
            Ok(Err(error)) => {
                debug!(model = wish.model, error, "keep-alive is not passed on");
            }
            Err(_) => {
                debug!(
                    model = wish.model,
                    "target does not take the keep-alive in time"
                );
            }
        }
    }

    fn of(job: &Job, keep_alive: KeepAlive) -> Self {
        Self {
            model: job.model.clone(),
            runner: job.runner.clone(),
            keep_alive,
        }
    }

    async fn send(&self, client: &dyn OllamaClient) -> Result<(), String> {
        let request = foreman_ollama::TargetRequest::post(
            "/api/generate",
            Bytes::from(self.body().to_string()),
            foreman_ollama::Deadlines::both(PATIENCE),
        );
        let response = client.forward(request).await;
        let response = response.map_err(|error| classify::chain(&error))?;
        let end = response.body.collect(MAX_ANSWER).await;
        end.map(drop).map_err(|error| classify::chain(&error))
    }

    /// Makes the request without a prompt: it sets the keep-alive of the loaded runner, whose load
    /// options it must repeat so that nothing is loaded anew.
    fn body(&self) -> Value {
        let mut options = Map::new();
        let mut body = Map::new();
        for option in self.runner.load_options().split(',') {
            let Some((name, value)) = option.split_once('=') else {
                continue;
            };
            let value = value_of(value);
            let place = if name == "shift" {
                &mut body
            } else {
                &mut options
            };
            place.insert(name.to_owned(), value);
        }
        body.insert("model".to_owned(), json!(self.model));
        body.insert(
            "keep_alive".to_owned(),
            value_of(&self.keep_alive.to_json()),
        );
        if !options.is_empty() {
            body.insert("options".to_owned(), Value::Object(options));
        }
        Value::Object(body)
    }
}

/// Reads a value that this crate, or the reader of requests, wrote as JSON.
fn value_of(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or(Value::Null)
}
