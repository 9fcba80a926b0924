//! Every change of a job's state, as it is logged and told to those who wait for it.

use std::sync::Arc;

use foreman_job::{Job, JobState, Timestamp};
use tracing::info;

use crate::handle::Shared;

/// Changes that a slow listener may be behind before it misses some.
pub(crate) const BACKLOG: usize = 1024;

/// A change of a job's state, told after it was durable.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The job afterwards.
    pub job: Job,
    /// Its state before; none when it was accepted just now.
    pub from: Option<JobState>,
    /// When it was told.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// Tells of a change: writes its line, and wakes whom it concerns.
pub(crate) fn publish(shared: &Shared, job: &Job, from: JobState, reason: &str) {
    log(job, from, reason);
    tell(shared, job, Some(from), reason);
}

/// Tells of a new job; its line is written at its claim.
pub(crate) fn accepted(shared: &Shared, job: &Job) {
    tell(shared, job, None, "accepted");
}

/// Writes the line; neither prompt nor answer is in it.
fn log(job: &Job, from: JobState, reason: &str) {
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

fn tell(shared: &Shared, job: &Job, from: Option<JobState>, reason: &str) {
    shared.watchers.tell(job.id);
    if shared.transitions.receiver_count() == 0 {
        return;
    }
    let transition = Transition {
        job: job.clone(),
        from,
        at: shared.clock.now(),
        reason: reason.to_owned(),
    };
    // The last listener may have gone just now.
    let _unheard = shared.transitions.send(Arc::new(transition));
}
