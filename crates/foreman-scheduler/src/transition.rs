//! Every change of a job's state, as it is logged and told to those who wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foreman_job::{Job, JobState, PickReason, Timestamp};
use tracing::info;

use crate::handle::Shared;
use crate::live::LiveJob;
use crate::metrics::Metrics;

/// Changes that a slow listener may be behind before it misses some.
pub(crate) const BACKLOG: usize = 1024;

/// The name of the log events that say that a job was claimed: nobody is shown anything of it yet.
pub const CLAIM_LINES: &str = "job claimed";

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

/// Tells that a job was claimed.
pub(crate) fn claimed(shared: &Shared, job: &Job, reason: PickReason, metrics: &Metrics) {
    publish(shared, job, JobState::Queued, reason.as_str());
    metrics.claimed(job);
}

/// Tells of a new job; its line is written at its claim.
///
/// It may have been claimed before its acceptance was durable: what happened since then is told now.
pub(crate) fn accepted(shared: &Shared, job: &Job, live: &LiveJob) {
    let mut untold = live.untold().lock();
    shared.watchers.tell(job.id);
    let before = untold.take().unwrap_or_default();
    if shared.transitions.receiver_count() == 0 {
        return;
    }
    broadcast(shared, Transition::new(shared, job, None, "accepted"));
    for transition in before {
        broadcast(shared, transition);
    }
    // Until here, so that nothing that happens meanwhile is told before.
    drop(untold);
}

/// Writes the line; neither prompt nor answer is in it.
fn log(job: &Job, from: JobState, reason: &str) {
    macro_rules! log_as {
        ($name:expr) => {
            info!(
                name: $name,
                job = %job.id,
                model = job.model,
                from = %from,
                to = %job.progress.state,
                attempt = job.progress.attempt,
                epoch = job.progress.epoch.get(),
                reason,
                "job is {}",
                job.progress.state,
            )
        };
    }
    if from == JobState::Queued && job.progress.state == JobState::Loading {
        log_as!(CLAIM_LINES);
    } else {
        log_as!("job changed");
    }
}

fn tell(shared: &Shared, job: &Job, from: Option<JobState>, reason: &str) {
    shared.watchers.tell(job.id);
    if shared.transitions.receiver_count() == 0 {
        return;
    }
    let transition = Transition::new(shared, job, from, reason);
    let live = shared.live.get(job.id);
    let mut untold = live.as_ref().map(|live| live.untold().lock());
    match untold.as_mut().and_then(|untold| untold.as_mut()) {
        Some(untold) => untold.push(transition),
        None => broadcast(shared, transition),
    }
}

fn broadcast(shared: &Shared, transition: Transition) {
    // The last listener may have gone just now.
    let _unheard = shared.transitions.send(Arc::new(transition));
}

impl Transition {
    fn new(shared: &Shared, job: &Job, from: Option<JobState>, reason: &str) -> Self {
        Self {
            job: job.clone(),
            from,
            at: shared.clock.now(),
            reason: reason.to_owned(),
        }
    }
}

/// What happened to a job before its acceptance was durable; afterwards nothing is kept.
#[derive(Debug)]
pub(crate) struct Untold(Mutex<Option<Vec<Transition>>>);

impl Untold {
    pub(crate) fn new(accepted: bool) -> Self {
        Self(Mutex::new((!accepted).then(Vec::new)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Transition>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
