//! When a waiting job will have its turn.

use std::time::Duration;

use foreman_job::{Job, JobState, Priority, RunnerKey, Timestamp};
use foreman_store::{Depth, Standing, StoreError};

use crate::SchedulerHandle;
use crate::learned::Learned;
use crate::status::{BreakerStatus, Status};

/// A job of which nothing is known takes this long.
const UNKNOWN_JOB: Duration = Duration::from_secs(1);

/// What can be said about a waiting job's turn, if nothing else comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Estimate {
    /// How many jobs are started before it, and one; none while it is not ready.
    pub position: Option<u64>,
    /// How long until the target begins to answer it. None where too little is known for an honest
    /// number: runners that have not been seen at work, a target that is away, a pause.
    pub eta: Option<Duration>,
}

/// Jobs of one runner that run one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Batch {
    runner: RunnerKey,
    jobs: u64,
}

impl SchedulerHandle {
    /// Estimates when a waiting job will have its turn.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn estimate(&self, job: &Job) -> Result<Estimate, StoreError> {
        if job.progress.state != JobState::Queued {
            return Ok(Estimate::default());
        }
        let shared = &self.shared;
        let now = shared.clock.now();
        let Some(standing) = shared.store.standing(job, now).await? else {
            return Ok(Estimate::default());
        };
        let status = self.status();
        let line = line(
            job,
            &standing,
            &shared.store.depths(),
            status.runner.as_ref(),
        );
        let ahead = line
            .iter()
            .map(|batch| batch.jobs)
            .fold(0, u64::saturating_add);
        let is_held = shared.pauses.covers(&job.runner) || status.breaker != BreakerStatus::Closed;
        let eta = if is_held {
            None
        } else {
            let learned = shared.learned();
            rest(&status, now, &learned)
                .zip(time(&line, status.runner.as_ref(), &learned))
                .map(|(rest, time)| rest.saturating_add(time))
        };
        Ok(Estimate {
            position: Some(ahead.saturating_add(1)),
            eta,
        })
    }

    /// Estimates how long so many jobs take, as the queue is mixed now, from whatever is known.
    pub fn time_for(&self, jobs: u64) -> Duration {
        let depths = self.shared.store.depths();
        mean(&depths, &self.shared.learned()).saturating_mul(count(jobs))
    }
}

/// Puts together what runs before a job: the better classes, the drains of its class that come
/// first, and the turns of its own drain that do.
fn line(
    job: &Job,
    standing: &Standing,
    depths: &[Depth],
    current: Option<&RunnerKey>,
) -> Vec<Batch> {
    let mut line: Vec<Batch> = Vec::new();
    let mut drained = current.cloned();
    for class in Priority::ALL.into_iter().filter(|it| *it < job.priority) {
        let runners = depths.iter().filter(|it| it.priority == class);
        let runners: Vec<_> = runners.map(|depth| &depth.runner).collect();
        for runner in drains(&runners, drained.as_ref()) {
            let jobs = waiting(depths, class, &runner);
            drained = Some(runner.clone());
            line.push(Batch { runner, jobs });
        }
    }
    let runners: Vec<_> = standing.runners.iter().map(|head| &head.runner).collect();
    let before = drains(&runners, drained.as_ref()).into_iter();
    for runner in before.take_while(|runner| *runner != job.runner) {
        let jobs = waiting(depths, job.priority, &runner);
        line.push(Batch { runner, jobs });
    }
    line.push(Batch {
        runner: job.runner.clone(),
        jobs: turns(job, standing),
    });
    line
}

/// Puts runners in the order of their drains: the one that goes on first, each only once.
fn drains(runners: &[&RunnerKey], current: Option<&RunnerKey>) -> Vec<RunnerKey> {
    let mut order: Vec<RunnerKey> = Vec::new();
    for runner in runners {
        if !order.contains(runner) {
            order.push((*runner).clone());
        }
    }
    // Stable: the others stay as they are.
    order.sort_by_key(|runner| Some(runner) != current);
    order
}

/// Counts the turns of the job's own drain before it. Callers take turns, so of each other one no
/// more jobs are ahead than of its own, and one.
fn turns(job: &Job, standing: &Standing) -> u64 {
    let own = standing.older_of(job.caller.as_deref());
    let others = standing
        .older
        .iter()
        .filter(|(caller, _)| *caller != job.caller);
    others
        .map(|(_, older)| (*older).min(own.saturating_add(1)))
        .fold(own, u64::saturating_add)
}

fn waiting(depths: &[Depth], class: Priority, runner: &RunnerKey) -> u64 {
    let of_runner = depths
        .iter()
        .filter(|depth| depth.priority == class && depth.runner == *runner);
    of_runner
        .map(|depth| depth.jobs)
        .fold(0, u64::saturating_add)
}

/// Returns how long the line takes; none where one of its runners is not known well enough.
fn time(line: &[Batch], current: Option<&RunnerKey>, learned: &Learned) -> Option<Duration> {
    let mut current = current;
    let mut time = Duration::ZERO;
    for batch in line {
        if current != Some(&batch.runner) {
            time = time.saturating_add(learned.load(&batch.runner)?);
            current = Some(&batch.runner);
        }
        if batch.jobs > 0 {
            let each = learned.run(&batch.runner)?;
            time = time.saturating_add(each.saturating_mul(count(batch.jobs)));
        }
    }
    Some(time)
}

/// Returns how long a waiting job takes in the mean.
fn mean(depths: &[Depth], learned: &Learned) -> Duration {
    let (mut jobs, mut time) = (0_u32, Duration::ZERO);
    for depth in depths {
        let each = learned.guess(&depth.runner).unwrap_or(UNKNOWN_JOB);
        time = time.saturating_add(each.saturating_mul(count(depth.jobs)));
        jobs = jobs.saturating_add(count(depth.jobs));
    }
    time.checked_div(jobs)
        .or_else(|| learned.any())
        .unwrap_or(UNKNOWN_JOB)
}

/// Jobs beyond four billion do not fit into a queue.
fn count(jobs: u64) -> u32 {
    u32::try_from(jobs).unwrap_or(u32::MAX)
}

/// Returns how long the running job still takes.
fn rest(status: &Status, now: Timestamp, learned: &Learned) -> Option<Duration> {
    let Some((running, runner)) = status.running.as_ref().zip(status.runner.as_ref()) else {
        return Some(Duration::ZERO);
    };
    let mut whole = learned.run(runner)?;
    if running.state == JobState::Loading {
        whole = whole.saturating_add(learned.load(runner).unwrap_or_default());
    }
    Some(whole.saturating_sub(now.since(running.since)))
}

#[cfg(test)]
mod tests;
