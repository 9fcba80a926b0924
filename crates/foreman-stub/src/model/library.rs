//! The models on the stub's disk, by canonical name.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use jiff::Timestamp;

use super::{Capability, ModelSpec, Name};

/// A model with its parsed name and the time it was made.
#[derive(Debug)]
pub(crate) struct Model {
    /// Its name.
    pub(crate) name: Name,
    /// Everything else.
    pub(crate) spec: ModelSpec,
    /// When its manifest was written.
    pub(crate) modified: Timestamp,
}

impl Model {
    /// True when the model can do it.
    pub(crate) fn can(&self, capability: Capability) -> bool {
        self.spec.capabilities.contains(&capability)
    }

    /// True for a model that generates text.
    pub(crate) fn generates(&self) -> bool {
        self.can(Capability::Completion)
    }

    /// The family that details show.
    pub(crate) fn family(&self) -> &'static str {
        if self.generates() { "llama" } else { "bert" }
    }
}

/// All models of a stub.
#[derive(Debug, Default)]
pub(crate) struct Library {
    models: RwLock<BTreeMap<String, Arc<Model>>>,
}

impl Library {
    /// The model of that name, however it is spelt.
    pub(crate) fn find(&self, name: &Name) -> Option<Arc<Model>> {
        self.models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&name.key())
            .cloned()
    }

    /// Adds a model, replacing one of the same name.
    pub(crate) fn add(&self, name: Name, spec: ModelSpec, modified: Timestamp) {
        let key = name.key();
        let model = Arc::new(Model {
            name,
            spec,
            modified,
        });
        self.models
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, model);
    }

    /// Removes a model; false when there is none of that name.
    pub(crate) fn remove(&self, name: &Name) -> bool {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        models.remove(&name.key()).is_some()
    }

    /// All models, the newest first.
    pub(crate) fn list(&self) -> Vec<Arc<Model>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = models.values().cloned().collect();
        drop(models);
        all.sort_by_key(|model| std::cmp::Reverse(model.modified));
        all
    }
}
