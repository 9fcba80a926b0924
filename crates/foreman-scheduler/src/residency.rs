//! What the worker knows of the models that are loaded.
//!
//! The target's own list is the truth, but it names digests, not load options, and asking before
//! every job would cost a round trip each. So the list is read when it may have changed, and the
//! options are remembered from the jobs that were run.

use std::time::Duration;

use foreman_job::RunnerKey;
use foreman_ollama::{InventorySnapshot, ModelName, OllamaClient, ResidentModel};
use tokio::time::Instant;
use tracing::debug;

use crate::classify;

/// A reading younger than this is taken as current: a drain of short jobs asks once per second.
const FRESH: Duration = Duration::from_secs(1);

/// The target answers its list of loaded models at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// The runners that are loaded, as far as is known.
#[derive(Debug, Default)]
pub(crate) struct Residency {
    resident: Vec<RunnerKey>,
    /// The runner of the last job.
    current: Option<RunnerKey>,
    read_at: Option<Instant>,
}

impl Residency {
    /// Returns the resident runners, the one of the last job first; reads the target's list where
    /// the last reading is old.
    pub(crate) async fn runners(
        &mut self,
        client: &dyn OllamaClient,
        inventory: &InventorySnapshot,
    ) -> &[RunnerKey] {
        let is_fresh = self.read_at.is_some_and(|at| at.elapsed() < FRESH);
        if !is_fresh {
            match tokio::time::timeout(PATIENCE, client.ps()).await {
                Ok(Ok(loaded)) => self.take(&loaded, inventory),
                // The last reading stands: a wrong guess costs order, never a request.
                Ok(Err(error)) => {
                    debug!(error = classify::chain(&error), "cannot read loaded models");
                }
                Err(_) => {
                    debug!("target does not list its loaded models in time");
                }
            }
            self.read_at = Some(Instant::now());
        }
        &self.resident
    }

    /// Returns the resident runners and until when they are taken as current; none when they are
    /// not.
    pub(crate) fn fresh(&self) -> Option<(&[RunnerKey], Instant)> {
        let until = self.read_at? + FRESH;
        (Instant::now() < until).then_some((&self.resident, until))
    }

    /// Tells whether a runner is resident, as far as is known.
    pub(crate) fn has(&self, runner: &RunnerKey) -> bool {
        self.resident.contains(runner)
    }

    /// Returns the runner of the last job.
    pub(crate) const fn current(&self) -> Option<&RunnerKey> {
        self.current.as_ref()
    }

    /// Notes that the target answered a job of this runner.
    pub(crate) fn ran(&mut self, runner: &RunnerKey) {
        // Another runner of the same weights was unloaded for this one.
        self.resident
            .retain(|other| other.weights() != runner.weights());
        self.resident.insert(0, runner.clone());
        self.current = Some(runner.clone());
    }

    /// Notes that the list may have changed in ways that jobs do not show.
    pub(crate) const fn forget_reading(&mut self) {
        self.read_at = None;
    }

    fn take(&mut self, loaded: &[ResidentModel], inventory: &InventorySnapshot) {
        let known = std::mem::take(&mut self.resident);
        for model in loaded {
            let weights = weights_of(model, inventory);
            let remembered = known
                .iter()
                .chain(self.current.as_ref())
                .find(|runner| runner.weights() == weights);
            let runner = remembered
                .cloned()
                .unwrap_or_else(|| RunnerKey::new(&weights, ""));
            let is_current = self.current.as_ref() == Some(&runner);
            let at = if is_current { 0 } else { self.resident.len() };
            self.resident.insert(at, runner);
        }
    }
}

/// Names a loaded model's weights as the keys of jobs do.
pub(crate) fn weights_of(model: &ResidentModel, inventory: &InventorySnapshot) -> String {
    match ModelName::parse(&model.name) {
        Ok(name) => weights(inventory, &name).to_owned(),
        Err(_) => model.digest.clone(),
    }
}

/// Names a model's weights: by digest where the inventory knows one, else by canonical name.
pub(crate) fn weights<'n>(inventory: &'n InventorySnapshot, name: &'n ModelName) -> &'n str {
    match inventory.lookup(name) {
        Some(entry) if !entry.digest.is_empty() => &entry.digest,
        _ => name.canonical(),
    }
}
