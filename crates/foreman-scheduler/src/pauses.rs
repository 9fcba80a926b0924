//! What is paused: nothing new of it is started, and it stays so across restarts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foreman_job::RunnerKey;
use foreman_ollama::{InventorySnapshot, ModelName};
use foreman_store::{QueueStore, StoreError};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::SchedulerHandle;
use crate::residency::weights;

/// The note in the store.
const NOTE: &str = "paused";

/// What is to be paused or resumed.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Everything. To resume everything ends the pauses of single models, too.
    All,
    /// The jobs of a model, and of all names that share its weights.
    Model(&'a ModelName),
}

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paused {
    /// Nothing is started at all.
    pub all: bool,
    /// The canonical names of the models of which nothing is started.
    pub models: Vec<String>,
}

/// What is paused, as the scheduler keeps it.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    state: Mutex<State>,
    /// Held by who changes it, so that memory and store agree.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct State {
    all: bool,
    /// By canonical name: the weights that the model had when it was paused.
    models: BTreeMap<String, String>,
}

impl Pauses {
    /// Reads what the last life left.
    pub(crate) async fn load(&self, store: &dyn QueueStore) -> Result<(), StoreError> {
        let Some(note) = store.note(NOTE).await? else {
            return Ok(());
        };
        match serde_json::from_slice::<State>(&note) {
            Ok(state) => {
                if state != State::default() {
                    warn!(all = state.all, models = ?state.names(), "queue is paused since before the restart");
                }
                *self.lock() = state;
            }
            Err(error) => warn!(%error, "what was paused cannot be read; nothing is"),
        }
        Ok(())
    }

    pub(crate) fn is_all(&self) -> bool {
        self.lock().all
    }

    /// Tells whether jobs of this runner are not started.
    pub(crate) fn covers(&self, runner: &RunnerKey) -> bool {
        let state = self.lock();
        state.all || state.models.values().any(|it| it == runner.weights())
    }

    /// Returns the weights of the paused models: those they had, and those they have now.
    pub(crate) fn weights(&self, inventory: &InventorySnapshot) -> Vec<String> {
        let models = self.lock().models.clone();
        let mut all = Vec::new();
        for (name, known) in models {
            all.push(known);
            if let Ok(name) = ModelName::parse(&name) {
                all.push(weights(inventory, &name).to_owned());
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(crate) fn view(&self) -> Paused {
        let state = self.lock();
        Paused {
            all: state.all,
            models: state.names(),
        }
    }

    /// Changes what is paused, in memory first: what is claimed after this returns knows of it.
    async fn change(
        &self,
        store: &dyn QueueStore,
        change: impl FnOnce(&mut State),
    ) -> Result<Paused, StoreError> {
        let _changing = self.changing.lock().await;
        let before = self.lock().clone();
        let mut state = before.clone();
        change(&mut state);
        *self.lock() = state.clone();
        let note = serde_json::to_vec(&state);
        let note = note.map_err(|error| StoreError::Database(Box::new(error)))?;
        if let Err(error) = store.save_note(NOTE, Bytes::from(note)).await {
            *self.lock() = before;
            return Err(error);
        }
        let paused = self.view();
        info!(all = paused.all, models = ?paused.models, "paused is now");
        Ok(paused)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn names(&self) -> Vec<String> {
        self.models.keys().cloned().collect()
    }
}

impl SchedulerHandle {
    /// Starts nothing more of it; what runs goes on. Returns what is paused then.
    ///
    /// # Errors
    ///
    /// What the store says; nothing has changed then, unless it is [`StoreError::Unknown`].
    pub async fn pause(
        &self,
        scope: Scope<'_>,
        inventory: &InventorySnapshot,
    ) -> Result<Paused, StoreError> {
        let shared = &self.shared;
        shared
            .pauses
            .change(shared.store.as_ref(), |state| match scope {
                Scope::All => state.all = true,
                Scope::Model(name) => {
                    let weights = weights(inventory, name).to_owned();
                    state.models.insert(name.canonical().to_owned(), weights);
                }
            })
            .await
    }

    /// Starts its jobs again. Returns what is paused then.
    ///
    /// # Errors
    ///
    /// What the store says; nothing has changed then, unless it is [`StoreError::Unknown`].
    pub async fn resume(&self, scope: Scope<'_>) -> Result<Paused, StoreError> {
        let shared = &self.shared;
        let paused = shared
            .pauses
            .change(shared.store.as_ref(), |state| match scope {
                Scope::All => *state = State::default(),
                Scope::Model(name) => {
                    state.models.remove(name.canonical());
                }
            })
            .await;
        shared.ready.notify_one();
        paused
    }

    /// Returns what is paused.
    pub fn paused(&self) -> Paused {
        self.shared.pauses.view()
    }
}
