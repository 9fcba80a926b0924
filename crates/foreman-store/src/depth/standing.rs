//! Where jobs stand, as far as the counts say.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use foreman_job::{HeadJob, Job, JobState, Priority, RunnerKey, Timestamp};

use super::depths::{Firsts, Heads};
use super::lines::{Line, Runner, Sight};
use super::{Depths, Group};
use crate::{ByCaller, Standings};

/// Where several jobs stand, and what must be looked for.
#[derive(Debug, Default)]
pub(crate) struct Sketch {
    pub(crate) standings: Standings,
    /// Lines whose first job has expired and is still there.
    pub(crate) unknown: Vec<Arc<Group>>,
    /// Jobs, by their number among those asked for, before which an unknown number stands.
    pub(crate) old: Vec<Old>,
}

/// A job that is not among the youngest of its runner.
#[derive(Debug)]
pub(crate) struct Old {
    pub(crate) number: usize,
    pub(crate) seq: i64,
    /// The lines of its runner and class, each with its ready jobs.
    pub(crate) lines: Vec<(Arc<Group>, u64)>,
}

impl Sketch {
    /// Tells whether nothing is left to look for.
    pub(crate) fn is_done(&self) -> bool {
        self.unknown.is_empty() && self.old.is_empty()
    }

    /// Adds the first job of a line that was looked for.
    pub(crate) fn add_first(&mut self, head: HeadJob) {
        let heads = self.standings.runners.entry(head.priority).or_default();
        let heads = Arc::make_mut(heads);
        heads.push(head);
        heads.sort_unstable_by_key(|head| head.seq);
        let mut seen = BTreeSet::new();
        heads.retain(|head| seen.insert(head.runner.clone()));
    }

    /// Adds what was counted before an old job.
    pub(crate) fn add_older(&mut self, number: usize, older: ByCaller) {
        if let Some(place) = self.standings.older.get_mut(number) {
            *place = Some(older);
        }
    }
}

impl Depths {
    /// Says where jobs stand.
    pub(crate) fn sketch(&mut self, jobs: &[Job], now: Timestamp) -> Sketch {
        let mut sketch = Sketch::default();
        let mut lowest = None;
        for (number, job) in jobs.iter().enumerate() {
            if job.progress.state != JobState::Queued || job.progress.retry_at.is_some() {
                sketch.standings.older.push(None);
                continue;
            }
            if !sketch.standings.runners.contains_key(&job.priority) {
                let heads = self.firsts(job.priority, now, &mut sketch.unknown);
                sketch.standings.runners.insert(job.priority, heads.jobs);
                sketch.standings.places.insert(job.priority, heads.places);
            }
            lowest = lowest.max(Some(job.priority));
            let older = self.older(job);
            if older.is_none() {
                sketch.old.push(Old {
                    number,
                    seq: job.seq,
                    lines: self.lines_beside(job),
                });
            }
            sketch.standings.older.push(older);
        }
        for class in Priority::ALL.into_iter().filter(|it| Some(*it) <= lowest) {
            let waiting = self.waiting(class);
            if !waiting.is_empty() {
                sketch.standings.waiting.insert(class, waiting);
            }
        }
        sketch
    }

    /// Returns the oldest ready job of a class for each runner, the oldest first, and the places of
    /// these runners; where one has expired, the line is added to those that are not known.
    fn firsts(&mut self, class: Priority, now: Timestamp, unknown: &mut Vec<Arc<Group>>) -> Heads {
        if let Some(known) = self.known_firsts(class, now) {
            return known;
        }
        let before = unknown.len();
        let (mut until, mut from_now) = (None, true);
        let mut note = |group: &Arc<Group>| {
            unknown.push(Arc::clone(group));
            Ok::<_, Infallible>(None)
        };
        let sight = Sight { now, passed: &[] };
        let mut heads = Vec::new();
        for (place, (_, runner)) in self.runners(class).enumerate() {
            let Ok(first) = runner.first(sight, &mut note);
            let Some(first) = first else { continue };
            let expires_at = first.spot.expires_at;
            until = until.into_iter().chain(expires_at).min();
            from_now &= first.spot.created_at <= now;
            heads.push((first.to_job(now), place));
        }
        heads.sort_unstable_by_key(|(head, _)| head.seq);
        let (jobs, places): (Vec<_>, Vec<_>) = heads.into_iter().unzip();
        let heads = Heads {
            jobs: Arc::new(jobs),
            places: Arc::new(places),
        };
        // Of a job from the future something else is said when its time has come.
        if unknown.len() == before && from_now {
            let firsts = Firsts {
                heads: heads.clone(),
                from: now,
                until,
            };
            self.keep_firsts(class, firsts);
        }
        heads
    }

    /// Counts how many jobs wait for each runner.
    fn waiting(&self, class: Priority) -> Vec<(RunnerKey, u64)> {
        let mut waiting = Vec::with_capacity(self.runner_count(class));
        let runners = self.runners(class);
        waiting.extend(runners.map(|(key, runner)| (key.clone(), runner.queued())));
        waiting
    }

    /// Counts the older jobs beside a job by who asked for them; none where that is not known.
    fn older(&self, job: &Job) -> Option<ByCaller> {
        let mut older = ByCaller::new();
        let Some(runner) = self.runner(job.priority, &job.runner) else {
            return Some(older);
        };
        for (caller, lines) in runner.callers() {
            let mut jobs: u64 = 0;
            for line in lines {
                jobs = jobs.saturating_add(line.before(job.seq)?);
            }
            if jobs > 0 {
                older.push((caller.clone(), jobs));
            }
        }
        Some(older)
    }

    fn lines_beside(&self, job: &Job) -> Vec<(Arc<Group>, u64)> {
        let runner = self.runner(job.priority, &job.runner);
        let lines = runner.into_iter().flat_map(Runner::lines);
        let ready = |line: &Line| (Arc::clone(&line.group), line.ready());
        lines.map(ready).collect()
    }
}
