//! What the worker remembers to decide what runs next, and the wish that it sends to the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foreman_job::{Choice, Job, QueueHeads, RunnerKey, Timestamp};
use foreman_store::{Choose, ClaimRequest, Used};
use tokio::time::Instant;

use crate::Metrics;
use crate::handle::Shared;
use crate::policy::{self, Bounds, Moment, OldestTurns, RecentUse};

/// The memory of the order.
#[derive(Debug)]
pub(crate) struct Order {
    bounds: Bounds,
    /// The start of the clock that the past is measured by.
    since: Instant,
    past: Arc<Mutex<Past>>,
    /// The runner that is drained, and since when.
    drain: Option<(RunnerKey, Instant)>,
}

/// What the claims before came to.
#[derive(Debug, Default)]
struct Past {
    recent_use: RecentUse,
    turns: OldestTurns,
}

/// What a claim is made with.
#[derive(Debug)]
pub(crate) struct Situation {
    pub(crate) slot: u32,
    /// The resident runners, the one of the last job first.
    pub(crate) resident: Vec<RunnerKey>,
    /// The weights of paused runners.
    pub(crate) paused: Vec<String>,
    pub(crate) now: Timestamp,
}

impl Order {
    pub(crate) fn new(max_wait: Duration) -> Self {
        Self {
            bounds: Bounds::new(max_wait),
            since: Instant::now(),
            past: Arc::default(),
            drain: None,
        }
    }

    /// Makes the wish to claim what the policy chooses.
    pub(crate) fn wish(
        &self,
        situation: Situation,
        shared: &Arc<Shared>,
        metrics: &Metrics,
    ) -> ClaimRequest {
        let Situation {
            slot,
            resident,
            paused,
            now,
        } = situation;
        ClaimRequest {
            slot,
            resident,
            paused,
            aged_before: self.bounds.aged_before(now),
            used: self.used(),
            now,
            choose: self.choose(now, Arc::clone(shared), metrics.clone()),
            foreseen: None,
            is_begun: false,
        }
    }

    /// What each caller has used, as the store asks for it.
    fn used(&self) -> Used {
        let elapsed = self.since.elapsed();
        let past = Arc::clone(&self.past);
        Arc::new(move |caller| lock(&past).recent_use.of(caller, elapsed))
    }

    /// The policy as the store calls it.
    fn choose(&self, now: Timestamp, shared: Arc<Shared>, metrics: Metrics) -> Choose {
        let bounds = self.bounds;
        let elapsed = self.since.elapsed();
        let drained_for = self.drained_for();
        let past = Arc::clone(&self.past);
        Arc::new(move |heads| {
            let choice = decide(heads, &bounds, &past, (now, elapsed, drained_for));
            let chosen = policy::chosen(heads, &choice)?;
            // It may have been paused since the wish was made.
            if shared.pauses.covers(&chosen.runner) {
                return None;
            }
            if chosen.runner != heads.oldest.runner {
                metrics.avoided_swap();
            }
            Some(choice)
        })
    }

    /// Notes that a job is about to run.
    pub(crate) fn begins(&mut self, job: &Job) {
        let goes_on = self
            .drain
            .as_ref()
            .is_some_and(|(runner, _)| *runner == job.runner);
        if !goes_on {
            self.drain = Some((job.runner.clone(), Instant::now()));
        }
    }

    /// Notes how long a job ran, without the load of its model.
    pub(crate) fn ran(&self, job: &Job, took: Duration) {
        let elapsed = self.since.elapsed();
        let mut past = lock(&self.past);
        past.recent_use.charge(job.caller.as_deref(), took, elapsed);
    }

    fn drained_for(&self) -> Duration {
        self.drain
            .as_ref()
            .map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

/// Asks the policy, and notes whose turn it was.
fn decide(
    heads: &QueueHeads,
    bounds: &Bounds,
    past: &Mutex<Past>,
    (now, elapsed, drained_for): (Timestamp, Duration, Duration),
) -> Choice {
    let mut past = lock(past);
    let moment = Moment {
        now,
        elapsed,
        drained_for,
        recent_use: &past.recent_use,
        turns: &past.turns,
    };
    let choice = policy::choose(heads, bounds, &moment);
    let is_aged = bounds.is_aged(&heads.oldest, now);
    past.turns.note(heads, &choice, is_aged, elapsed);
    if let Some(chosen) = policy::chosen(heads, &choice) {
        let caller = chosen.caller.as_deref();
        past.recent_use.picked(caller, heads.most_used, elapsed);
    }
    choice
}

fn lock(past: &Mutex<Past>) -> MutexGuard<'_, Past> {
    past.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use foreman_job::lifecycle::Progress;
    use foreman_job::{Endpoint, JobId, Priority};
    use tokio::time;

    use super::*;
    use crate::SeededRandom;

    const STEP: Duration = Duration::from_secs(10);

    fn job_of(name: &str) -> Job {
        Job {
            seq: 1,
            id: JobId::generate(Timestamp::from_millis(1), &SeededRandom::new(1)),
            endpoint: Endpoint::Chat,
            model: name.to_owned(),
            runner: RunnerKey::new(name, ""),
            priority: Priority::Normal,
            caller: None,
            progress: Progress::accepted(),
            created_at: Timestamp::from_millis(1),
            claimed_at: None,
            started_at: None,
            finished_at: None,
            not_before: None,
            expires_at: None,
            failure: None,
            target_status: None,
            usage: None,
            retry_of: None,
            metadata: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_lasts_from_its_first_job_until_one_of_another_runner_begins() {
        let mut order = Order::new(Duration::from_mins(5));
        let mut lasted = vec![order.drained_for()];
        for name in ["a", "a", "b", "b"] {
            order.begins(&job_of(name));
            time::advance(STEP).await;
            lasted.push(order.drained_for());
        }

        assert_eq!(lasted, [Duration::ZERO, STEP, 2 * STEP, STEP, 2 * STEP]);
    }
}
