//! Which jobs are listed.

use std::fmt;
use std::sync::Arc;

use foreman_job::{Endpoint, Job, JobState};

/// Tells whether a model, as a caller spelled it, is meant.
pub type ModelFilter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Which jobs are listed; what is none does not matter.
#[derive(Clone, Default)]
pub struct JobFilter {
    /// Those in this state.
    pub state: Option<JobState>,
    /// Those that came in by this route.
    pub endpoint: Option<Endpoint>,
    /// Those of this caller.
    pub caller: Option<String>,
    /// Those for these models.
    pub model: Option<ModelFilter>,
}

/// What came of a wish to forget a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Deletion {
    /// It is forgotten, with its bodies; this is how it was last. A queued one was cancelled first.
    Forgotten(Box<Job>),
    /// It runs, and so it stays.
    Running(Box<Job>),
    /// There is no such job.
    Unknown,
}

impl JobFilter {
    /// Tells whether a job is to be listed.
    pub fn matches(&self, job: &Job) -> bool {
        self.state.is_none_or(|state| job.progress.state == state)
            && self
                .endpoint
                .is_none_or(|endpoint| job.endpoint == endpoint)
            && (self.caller.is_none() || self.caller == job.caller)
            && self.model.as_ref().is_none_or(|model| model(&job.model))
    }
}

impl fmt::Debug for JobFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobFilter")
            .field("state", &self.state)
            .field("endpoint", &self.endpoint)
            .field("caller", &self.caller)
            .field("model", &self.model.is_some())
            .finish()
    }
}
