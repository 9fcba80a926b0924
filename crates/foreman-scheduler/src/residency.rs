//! What the worker knows of the models that are loaded.
//!
//! The target's own list is the truth, but it names digests, not load options, and asking before
//! every job would cost a round trip each. So the list is read when it may have changed, and the
//! options are remembered from the jobs that were run. While no job waits there is nothing to choose
//! from: then what was seen last stands for longer, and the poller's readings are taken over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foreman_job::RunnerKey;
use foreman_ollama::{InventorySnapshot, KeepAlive, ModelName, OllamaClient, ResidentModel};
use tokio::time::Instant;
use tracing::debug;

use crate::classify;

/// A reading younger than this is taken as current: a drain of short jobs asks once per second.
const FRESH: Duration = Duration::from_secs(1);

/// While no job waits, and nothing that foreman has sent may have changed it, what was seen stands so
/// long: until after the poller's next reading, where that comes as often as usual.
pub(crate) const STANDS: Duration = Duration::from_secs(45);

/// The target answers its list of loaded models at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether something beside the jobs may have loaded or unloaded a model since the target's list was
/// read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disturbance(Arc<AtomicBool>);

impl Disturbance {
    /// Notes that something was sent that may do so.
    pub(crate) fn note(&self) {
        // Embeddings come by the thousand, and many threads write no word that is written already.
        if !self.is_noted() {
            self.0.store(true, Ordering::Release);
        }
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn forget(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Whether what was seen at some time may be no more, because of something that foreman has sent.
#[derive(Debug)]
pub(crate) struct Disturbed {
    seen_at: Option<Instant>,
    disturbance: Disturbance,
}

impl Disturbed {
    pub(crate) fn is_now(&self) -> bool {
        let is_fresh = self.seen_at.is_some_and(|at| at.elapsed() < FRESH);
        !is_fresh && self.disturbance.is_noted()
    }
}

/// The runners that are loaded, as far as is known.
#[derive(Debug)]
pub(crate) struct Residency {
    resident: Vec<RunnerKey>,
    /// The runner of the last job.
    current: Option<RunnerKey>,
    /// When the target's list was read.
    read_at: Option<Instant>,
    /// When the target has answered the last job, or its list was read.
    seen_at: Option<Instant>,
    /// When something came in between that tells nothing of what is loaded.
    forgot_at: Option<Instant>,
    /// How long what was seen stands while no job waits.
    stands: Duration,
    disturbance: Disturbance,
}

impl Residency {
    /// Makes one that knows nothing yet; models stay loaded for so long after their last job.
    pub(crate) fn new(keep_alive: KeepAlive, disturbance: Disturbance) -> Self {
        let stands = match keep_alive {
            KeepAlive::Forever => STANDS,
            KeepAlive::For(time) => STANDS.min(time).max(FRESH),
        };
        Self {
            resident: Vec::new(),
            current: None,
            read_at: None,
            seen_at: None,
            forgot_at: None,
            stands,
            disturbance,
        }
    }

    /// Returns the resident runners, the one of the last job first; reads the target's list where
    /// the last reading is old.
    pub(crate) async fn runners(
        &mut self,
        client: &dyn OllamaClient,
        inventory: &InventorySnapshot,
    ) -> &[RunnerKey] {
        let is_fresh = self.read_at.is_some_and(|at| at.elapsed() < FRESH);
        if !is_fresh {
            // Before the list is read: what comes while it is may not be in it.
            self.disturbance.forget();
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
            self.note_reading();
        }
        &self.resident
    }

    /// Returns the resident runners while no job waits, and until when they are taken as current;
    /// none when they are not.
    pub(crate) fn standing(&self) -> Option<(&[RunnerKey], Instant)> {
        let until = self.seen_at? + self.stands;
        (Instant::now() < until).then_some((&self.resident, until))
    }

    /// Tells whether what was seen may be no more, because of something that foreman has sent.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.disturbed().is_now()
    }

    /// Returns what tells that later, as long as nothing else is seen.
    pub(crate) fn disturbed(&self) -> Disturbed {
        Disturbed {
            seen_at: self.seen_at,
            disturbance: self.disturbance.clone(),
        }
    }

    /// Takes over what the poller has read a moment ago, where it could; tells whether.
    ///
    /// What was seen here since the target may have made that list counts for more, and what
    /// happened since then may have changed it.
    pub(crate) fn hear(&mut self, polled: &InventorySnapshot) -> bool {
        let last = self.seen_at.max(self.forgot_at);
        let is_older = last.is_some_and(|at| at.elapsed() < PATIENCE);
        if polled.degraded || is_older {
            return false;
        }
        // What was noted as a disturbance may be in it or not: it stays noted.
        self.take(&polled.resident, polled);
        self.note_reading();
        true
    }

    fn note_reading(&mut self) {
        let now = Instant::now();
        self.read_at = Some(now);
        self.seen_at = Some(now);
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
        // Without a reading there may be others that are not known.
        self.seen_at = self.read_at.map(|_| Instant::now());
    }

    /// Notes that the list may have changed in ways that jobs do not show.
    pub(crate) fn forget_reading(&mut self) {
        self.read_at = None;
        self.seen_at = None;
        self.forgot_at = Some(Instant::now());
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
