//! What is known of the target at one moment.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;

use crate::client::Answer;
use crate::error::TargetError;
use crate::name::ModelName;
use crate::residency::ResidentModel;

/// What is known of the target at one moment; an unreachable target changes nothing but
/// [`degraded`](Self::degraded), [`since`](Self::since) and [`last_error`](Self::last_error).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventorySnapshot {
    /// The last answer of `/api/tags`, as it came.
    pub tags: Option<Answer>,
    /// The last answer of `/api/version`, as it came.
    pub version: Option<Answer>,
    /// The last answer of `/v1/models`, as it came.
    pub v1_models: Option<Answer>,
    /// The installed models by canonical name.
    pub models: BTreeMap<String, ModelEntry>,
    /// What was loaded at the last good poll.
    pub resident: Vec<ResidentModel>,
    /// When the last good poll ended.
    pub last_poll: Option<Timestamp>,
    /// Whether the target is out of reach.
    pub degraded: bool,
    /// Since when it is within, or out of, reach.
    pub since: Timestamp,
    /// Why it is out of reach.
    pub last_error: Option<String>,
    /// How often it came back into reach.
    pub recoveries: u64,
}

/// One installed model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    /// The name as the target spells it.
    pub name: String,
    /// Identifies what is behind the name: aliases share it.
    pub digest: String,
    /// Whether it runs elsewhere, through the target.
    pub remote: bool,
    /// What it can do, as far as the list of models tells.
    pub capabilities: Vec<String>,
}

/// What one good poll brought.
#[derive(Debug)]
pub(super) struct Polled {
    pub(super) tags: Answer,
    pub(super) models: BTreeMap<String, ModelEntry>,
    pub(super) version: Answer,
    /// Absent when the target does not have the route.
    pub(super) v1_models: Option<Answer>,
    pub(super) resident: Vec<ResidentModel>,
}

impl InventorySnapshot {
    /// Knows nothing yet.
    pub fn empty(now: Timestamp) -> Self {
        Self {
            tags: None,
            version: None,
            v1_models: None,
            models: BTreeMap::new(),
            resident: Vec::new(),
            last_poll: None,
            degraded: false,
            since: now,
            last_error: None,
            recoveries: 0,
        }
    }

    /// Finds an installed model.
    pub fn lookup(&self, name: &ModelName) -> Option<&ModelEntry> {
        self.models.get(name.canonical())
    }

    /// Finds a loaded model: by its name, else by what is behind it, since aliases share a runner.
    pub fn resident_as(&self, name: &ModelName) -> Option<&ResidentModel> {
        let same_name = |model: &&ResidentModel| {
            ModelName::parse(&model.name).is_ok_and(|resident| resident == *name)
        };
        self.resident.iter().find(same_name).or_else(|| {
            let digest = &self.lookup(name)?.digest;
            self.resident
                .iter()
                .find(|model| !digest.is_empty() && model.digest == *digest)
        })
    }

    pub(super) fn after_success(&self, polled: Polled, now: Timestamp) -> Self {
        Self {
            tags: Some(polled.tags),
            version: Some(polled.version),
            v1_models: polled.v1_models.or_else(|| self.v1_models.clone()),
            models: polled.models,
            resident: polled.resident,
            last_poll: Some(now),
            degraded: false,
            since: if self.degraded { now } else { self.since },
            last_error: None,
            recoveries: self.recoveries.saturating_add(u64::from(self.degraded)),
        }
    }

    pub(super) fn after_failure(&self, error: &TargetError, now: Timestamp) -> Self {
        Self {
            degraded: true,
            since: if self.degraded { self.since } else { now },
            last_error: Some(error.to_string()),
            ..self.clone()
        }
    }
}

/// Reads the list of models in the body of `/api/tags`.
pub(super) fn models(body: &Bytes) -> Result<BTreeMap<String, ModelEntry>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Body {
        models: Option<Vec<Listed>>,
    }
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Listed {
        name: String,
        model: String,
        digest: String,
        remote_host: Option<String>,
        remote_model: Option<String>,
        capabilities: Option<Vec<String>>,
    }
    let body: Body = serde_json::from_slice(body)?;
    let mut models = BTreeMap::new();
    for listed in body.models.unwrap_or_default() {
        let name = if listed.name.is_empty() {
            listed.model
        } else {
            listed.name
        };
        // A name that no request can hold cannot be asked for either.
        let Ok(parsed) = ModelName::parse(&name) else {
            continue;
        };
        let given = |field: Option<String>| field.is_some_and(|text| !text.is_empty());
        let entry = ModelEntry {
            remote: given(listed.remote_host) || given(listed.remote_model) || parsed.is_cloud(),
            digest: listed.digest,
            capabilities: listed.capabilities.unwrap_or_default(),
            name,
        };
        models.insert(parsed.canonical().to_owned(), entry);
    }
    Ok(models)
}

/// Tells whether an answer is what it should be.
pub(super) fn is_good(answer: &Answer) -> bool {
    answer.status == StatusCode::OK
}
