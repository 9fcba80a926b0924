//! When a waiting job will have its turn.

use std::collections::BTreeMap;
use std::slice::from_ref;
use std::time::Duration;

use foreman_job::{Job, JobState, Priority, RunnerKey, Timestamp};
use foreman_store::{Depth, Standings, StoreError};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch<'a> {
    class: Priority,
    runner: &'a RunnerKey,
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
        let estimates = self.estimates(from_ref(job)).await?;
        Ok(estimates.into_iter().next().unwrap_or_default())
    }

    /// Estimates it for several jobs, for little more than one of them costs.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn estimates(&self, jobs: &[Job]) -> Result<Vec<Estimate>, StoreError> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let standings = shared.store.standings(jobs, now).await?;
        let status = self.status();
        let mut drains: BTreeMap<Priority, Vec<Batch<'_>>> = BTreeMap::new();
        for class in standings.runners.keys() {
            let all = before(*class, &standings, status.runner.as_ref());
            drains.insert(*class, all);
        }
        let is_closed = status.breaker == BreakerStatus::Closed;
        let learned = shared.learned();
        let rest = rest(&status, now, &learned);
        let each = jobs.iter().zip(&standings.older);
        let estimates = each.map(|(job, older)| {
            let Some((older, drains)) = older.as_ref().zip(drains.get(&job.priority)) else {
                return Estimate::default();
            };
            let line = line(job, older, drains);
            let ahead = line.iter().map(|batch| batch.jobs);
            let ahead = ahead.fold(0, u64::saturating_add);
            let is_held = !is_closed || shared.pauses.covers(&job.runner);
            let rest = rest.filter(|_| !is_held);
            let eta = rest
                .zip(time(&line, status.runner.as_ref(), &learned))
                .map(|(rest, time)| rest.saturating_add(time));
            Estimate {
                position: Some(ahead.saturating_add(1)),
                eta,
            }
        });
        let estimates = estimates.collect();
        drop(learned);
        Ok(estimates)
    }

    /// Estimates how long so many jobs take, as the queue is mixed now, from whatever is known.
    pub fn time_for(&self, jobs: u64) -> Duration {
        let depths = self.shared.store.depths();
        mean(&depths, &self.shared.learned()).saturating_mul(count(jobs))
    }
}

/// Puts together what runs before the jobs of a class, and the drains of the class itself.
fn before<'a>(
    class: Priority,
    standings: &'a Standings,
    current: Option<&'a RunnerKey>,
) -> Vec<Batch<'a>> {
    let waiting = &standings.waiting;
    let mut all: Vec<Batch<'a>> = Vec::with_capacity(waiting.values().map(Vec::len).sum());
    let mut drained = current;
    for (better, runners) in waiting.range(..class) {
        let first = all.len();
        all.extend(runners.iter().map(|(runner, jobs)| Batch {
            class: *better,
            runner,
            jobs: *jobs,
        }));
        drained = goes_on(&mut all, first, drained);
    }
    let of_class = waiting.get(&class).map_or(&[][..], Vec::as_slice);
    let places = standings
        .places
        .get(&class)
        .map_or(&[][..], |it| it.as_slice());
    let first = all.len();
    let in_order = places.iter().filter_map(|place| of_class.get(*place));
    all.extend(in_order.map(|(runner, jobs)| Batch {
        class,
        runner,
        jobs: *jobs,
    }));
    goes_on(&mut all, first, drained);
    all
}

/// Puts the drain that goes on before the others from a place on, which stay as they are; returns
/// the runner of the last one.
fn goes_on<'a>(
    all: &mut [Batch<'a>],
    first: usize,
    current: Option<&'a RunnerKey>,
) -> Option<&'a RunnerKey> {
    let of_class = all.get_mut(first..).unwrap_or_default();
    of_class.sort_by_key(|batch| Some(batch.runner) != current);
    of_class.last().map(|batch| batch.runner).or(current)
}

/// Puts together what runs before a job: the better classes, the drains of its class that come
/// first, and the turns of its own drain that do.
fn line<'a>(job: &'a Job, older: &[(Option<String>, u64)], before: &[Batch<'a>]) -> Vec<Batch<'a>> {
    let is_own = |batch: &Batch<'_>| batch.class == job.priority && *batch.runner == job.runner;
    let ahead = before.iter().copied().take_while(|batch| !is_own(batch));
    let mut line: Vec<Batch<'a>> = ahead.collect();
    line.push(Batch {
        class: job.priority,
        runner: &job.runner,
        jobs: turns(job, older),
    });
    line
}

/// Counts the turns of the job's own drain before it. Callers take turns, so of each other one no
/// more jobs are ahead than of its own, and one.
fn turns(job: &Job, older: &[(Option<String>, u64)]) -> u64 {
    let own = older.iter().find(|(caller, _)| *caller == job.caller);
    let own = own.map_or(0, |(_, jobs)| *jobs);
    let others = older.iter().filter(|(caller, _)| *caller != job.caller);
    others
        .map(|(_, older)| (*older).min(own.saturating_add(1)))
        .fold(own, u64::saturating_add)
}

/// Returns how long the line takes; none where one of its runners is not known well enough.
fn time(line: &[Batch<'_>], current: Option<&RunnerKey>, learned: &Learned) -> Option<Duration> {
    let mut current = current;
    let mut time = Duration::ZERO;
    for batch in line {
        if current != Some(batch.runner) {
            time = time.saturating_add(learned.load(batch.runner)?);
            current = Some(batch.runner);
        }
        if batch.jobs > 0 {
            let each = learned.run(batch.runner)?;
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
