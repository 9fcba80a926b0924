//! A job as foreman describes it.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A job as foreman describes it; what a later version adds is passed over.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JobView {
    pub(crate) id: String,
    pub(crate) endpoint: String,
    pub(crate) model: String,
    pub(crate) state: String,
    pub(crate) priority: String,
    pub(crate) caller: Option<String>,
    pub(crate) created_at: String,
    pub(crate) claimed_at: Option<String>,
    pub(crate) started_at: Option<String>,
    pub(crate) finished_at: Option<String>,
    pub(crate) not_before: Option<String>,
    pub(crate) expires_at: Option<String>,
    pub(crate) retry_at: Option<String>,
    #[serde(default)]
    pub(crate) attempt: u64,
    #[serde(default)]
    pub(crate) max_attempts: u64,
    pub(crate) position: Option<u64>,
    pub(crate) eta_seconds: Option<f64>,
    #[serde(default)]
    pub(crate) cancel_requested: bool,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<JobFault>,
    pub(crate) usage: Option<Usage>,
    pub(crate) queue_ms: Option<u64>,
    pub(crate) retry_of: Option<String>,
    pub(crate) metadata: Option<Map<String, Value>>,
}

/// Why a job failed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JobFault {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// What the target reported of its work.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
    pub(crate) load_ms: Option<f64>,
    pub(crate) total_ms: Option<f64>,
}

/// One page of a list.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JobPage {
    pub(crate) jobs: Vec<Value>,
    pub(crate) next: Option<String>,
}

impl JobView {
    /// Tells whether it will never change again.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "done" | "failed" | "cancelled")
    }

    /// Says in a few words what is worth knowing beside the state.
    pub(crate) fn note(&self) -> String {
        if let Some(error) = &self.error {
            return error.code.clone();
        }
        if self.cancel_requested && !self.is_over() {
            return "cancel requested".to_owned();
        }
        let position = self.position.map(|position| format!("position {position}"));
        let eta = self.eta_seconds.map(|eta| format!("~{}", seconds(eta)));
        let parts: Vec<String> = [position, eta].into_iter().flatten().collect();
        parts.join(", ")
    }
}

/// Writes seconds as people say them.
fn seconds(count: f64) -> String {
    let time = std::time::Duration::try_from_secs_f64(count.ceil()).unwrap_or_default();
    crate::screen::brief(time)
}
