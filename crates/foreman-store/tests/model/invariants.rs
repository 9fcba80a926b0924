//! What holds after every step, whatever the step was.

use std::collections::BTreeMap;

use foreman_job::{Job, JobId};
use foreman_store::QueueCounts;

use crate::pair::SLOTS;

/// Remembers the jobs as they were one step before.
#[derive(Default)]
pub(crate) struct Invariants {
    last: BTreeMap<JobId, Job>,
    highest: i64,
}

impl Invariants {
    /// Looks at all jobs, and at how they are counted.
    pub(crate) fn hold(&mut self, jobs: &[Job], counts: QueueCounts) {
        let running = jobs.iter().filter(|job| job.progress.state.is_running());
        let slots = usize::try_from(SLOTS).unwrap();
        assert!(running.count() <= slots, "one job a slot");
        let known: u64 = foreman_job::JobState::ALL
            .into_iter()
            .map(|state| counts.of(state))
            .sum();
        let there = u64::try_from(jobs.len()).unwrap();
        assert_eq!(known, there, "each job is counted once");
        let now: BTreeMap<JobId, Job> = jobs.iter().map(|job| (job.id, job.clone())).collect();
        for (id, before) in &self.last {
            match now.get(id) {
                Some(after) => follows(before, after),
                None => assert!(!before.progress.state.is_running(), "{before:?} is gone"),
            }
        }
        for (id, job) in &now {
            if !self.last.contains_key(id) {
                assert!(job.seq > self.highest, "{job:?} has the place of another");
            }
        }
        let highest = jobs.iter().map(|job| job.seq).max();
        self.highest = highest.unwrap_or_default().max(self.highest);
        self.last = now;
    }
}

/// A job keeps its place, its counters only grow, and once it has ended it stays as it is.
fn follows(before: &Job, after: &Job) {
    if before.progress.state.is_terminal() {
        assert_eq!(before, after, "an ended job has changed");
    }
    assert_eq!(before.seq, after.seq);
    assert_eq!(before.created_at, after.created_at);
    let counters = |job: &Job| {
        let progress = &job.progress;
        [
            progress.epoch.get(),
            progress.attempt.into(),
            progress.crashes.into(),
        ]
    };
    let pairs = counters(before).into_iter().zip(counters(after));
    for (earlier, later) in pairs {
        assert!(earlier <= later, "{before:?} became {after:?}");
    }
}
