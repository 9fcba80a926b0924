//! When a job may begin, as far as can be told.

use foreman_job::Job;

use crate::app::App;

/// When a job may begin; none where nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Estimate {
    /// Its place in the order in which jobs would start now, from 1.
    pub(crate) position: Option<u64>,
    /// In how many seconds it may begin.
    pub(crate) eta_seconds: Option<f64>,
}

impl Estimate {
    /// Estimates it for several jobs.
    pub(crate) async fn of_all(app: &App, jobs: &[Job]) -> Vec<Self> {
        match app.scheduler.estimates(jobs).await {
            Ok(estimates) => estimates.into_iter().map(Self::from).collect(),
            Err(error) => {
                // The jobs themselves are worth telling without it.
                tracing::debug!(%error, "cannot estimate when jobs may begin");
                vec![Self::default(); jobs.len()]
            }
        }
    }

    /// Estimates it for a job.
    pub(crate) async fn of(app: &App, job: &Job) -> Self {
        match app.scheduler.estimate(job).await {
            Ok(estimate) => Self::from(estimate),
            Err(error) => {
                // The job itself is worth telling without it.
                tracing::debug!(%error, "cannot estimate when a job may begin");
                Self::default()
            }
        }
    }
}

impl From<foreman_scheduler::Estimate> for Estimate {
    fn from(estimate: foreman_scheduler::Estimate) -> Self {
        Self {
            position: estimate.position,
            eta_seconds: estimate.eta.map(|eta| eta.as_secs_f64()),
        }
    }
}
