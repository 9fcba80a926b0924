//! The log line of every change of a job's state.

use foreman_job::{Job, JobState};
use tracing::info;

/// Writes the line; neither prompt nor answer is in it.
pub(crate) fn log(job: &Job, from: JobState, reason: &str) {
    info!(
        job = %job.id,
        model = job.model,
        from = %from,
        to = %job.progress.state,
        attempt = job.progress.attempt,
        epoch = job.progress.epoch.get(),
        reason,
        "job is {}",
        job.progress.state,
    );
}
