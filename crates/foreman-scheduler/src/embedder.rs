//! Keeps the embedding model resident, so that embeddings never wait for a load.
//!
//! The target must have room for two models: the embedder in one slot, the worker's model in the
//! other (`OLLAMA_MAX_LOADED_MODELS=2` or more).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foreman_ollama::{Inventory, InventorySnapshot, ModelName, OllamaClient, TargetError};
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::classify;
use crate::handle::Shared;
use crate::pinned::needs_pin;

/// Loading an embedding model takes seconds; one that takes longer is left to the next occasion.
const PATIENCE: Duration = Duration::from_mins(5);

/// How soon a warming that did not work is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The largest answer to the trivial request; a vector has some thousand numbers.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Keeps one model resident.
pub(crate) struct Embedder {
    pub(crate) model: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: Arc<dyn OllamaClient>,
    pub(crate) inventory: Inventory,
    /// Rung after each swap: the embedder may have been evicted.
    pub(crate) swapped: Arc<Notify>,
}

impl Embedder {
    /// Warms at start, after every recovery of the target, when a swap evicted the embedder, and when
    /// a poll shows that it is not pinned any more: direct requests pass unread, with whatever they
    /// wish.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut changes = self.inventory.subscribe();
        let mut before = self.inventory.snapshot();
        // `recoveries` of the target's life in which the embedder was warmed last.
        let mut warmed = None;
        loop {
            let life = self.reachable_life();
            if let Some(life) = life
                && warmed != Some(life)
                && self.warm().await
            {
                warmed = Some(life);
                // A poll that began before says nothing of what was done since.
                changes.mark_unchanged();
                continue;
            }
            let retry = life.is_some() && warmed != life;
            tokio::select! {
                () = stop.cancelled() => return,
                change = changes.changed() => {
                    if change.is_err() {
                        return;
                    }
                    let now = self.inventory.snapshot();
                    if self.lost_its_pin(&before, &now) {
                        warmed = None;
                    }
                    before = now;
                }
                () = self.swapped.notified() => if self.was_evicted().await { warmed = None },
                () = tokio::time::sleep(AGAIN), if retry => {}
            }
        }
    }

    fn lost_its_pin(&self, before: &InventorySnapshot, now: &InventorySnapshot) -> bool {
        let busy = self.shared.running().is_some();
        ModelName::parse(&self.model).is_ok_and(|name| needs_pin(&name, before, now, busy))
    }

    /// Returns which life of the target this is; none while it is away.
    fn reachable_life(&self) -> Option<u64> {
        let snapshot = self.inventory.snapshot();
        (!snapshot.degraded && snapshot.last_poll.is_some()).then_some(snapshot.recoveries)
    }

    async fn warm(&self) -> bool {
        match tokio::time::timeout(PATIENCE, self.embed()).await {
            Ok(Ok(status)) if status.is_success() => {
                info!(model = self.model, "embedding model is warm");
                true
            }
            Ok(Ok(status)) => {
                warn!(
                    model = self.model,
                    http.status = status.as_u16(),
                    "target does not warm the embedding model"
                );
                false
            }
            Ok(Err(error)) => {
                warn!(
                    model = self.model,
                    error = classify::chain(&error),
                    "cannot warm the embedding model"
                );
                false
            }
            Err(_) => {
                warn!(model = self.model, "embedding model is not warm in time");
                false
            }
        }
    }

    async fn embed(&self) -> Result<http::StatusCode, TargetError> {
        let body = json!({ "model": self.model, "input": "warm", "keep_alive": -1 });
        self.shared.disturbance.note();
        let response = self.client.embed(Bytes::from(body.to_string())).await?;
        let status = response.status;
        response.body.collect(MAX_ANSWER).await?;
        Ok(status)
    }

    /// Tells whether a swap evicted the embedder from a target that has room for it.
    ///
    /// A target with a single slot is warned about instead: warming it again would evict the
    /// model that is being drained.
    async fn was_evicted(&self) -> bool {
        let loaded = match self.client.ps().await {
            Ok(loaded) => loaded,
            Err(error) => {
                debug!(
                    error = classify::chain(&error),
                    "cannot see whether the embedding model is resident"
                );
                return false;
            }
        };
        let is_own = |name: &str| {
            let own = ModelName::parse(&self.model);
            own.is_ok_and(|own| ModelName::parse(name).is_ok_and(|name| name == own))
        };
        if loaded.iter().any(|model| is_own(&model.name)) {
            return false;
        }
        if loaded.len() == 1 {
            warn!(
                model = self.model,
                "target keeps only one model loaded, so embeddings and chats evict each other: start it with OLLAMA_MAX_LOADED_MODELS=2"
            );
            return false;
        }
        true
    }
}
