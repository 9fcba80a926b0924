//! How many jobs wait, by what they need and by who asked.

use std::collections::BTreeMap;

use foreman_job::{Job, Priority, RunnerKey};

use crate::NewJob;

/// Jobs in the queue that have model, runner, class and caller in common; those in back-off, and
/// those whose time has not come, are among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// The model as the callers spelled it.
    pub model: String,
    /// The runner they need.
    pub runner: RunnerKey,
    /// Their class.
    pub priority: Priority,
    /// Who asked for them; none when callers are anonymous.
    pub caller: Option<String>,
    /// How many there are; never none.
    pub jobs: u64,
}

/// What jobs have in common that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    model: String,
    runner: RunnerKey,
    priority: Priority,
    caller: Option<String>,
}

/// A job that came into the queue, or left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// It came.
    In(Group),
    /// It left.
    Out(Group),
}

/// The groups of all jobs in the queue; none is empty.
#[derive(Debug, Default)]
pub(crate) struct Depths {
    groups: BTreeMap<Group, u64>,
}

impl Group {
    pub(crate) const fn new(
        model: String,
        runner: RunnerKey,
        priority: Priority,
        caller: Option<String>,
    ) -> Self {
        Self {
            model,
            runner,
            priority,
            caller,
        }
    }

    pub(crate) fn of(job: &Job) -> Self {
        let (model, runner) = (job.model.clone(), job.runner.clone());
        Self::new(model, runner, job.priority, job.caller.clone())
    }

    pub(crate) fn of_new(job: &NewJob) -> Self {
        let (model, runner) = (job.model.clone(), job.runner.clone());
        Self::new(model, runner, job.priority, job.caller.clone())
    }
}

impl Depths {
    /// Adds so many jobs.
    pub(crate) fn add(&mut self, group: Group, jobs: u64) {
        let count = self.groups.entry(group).or_default();
        *count = count.saturating_add(jobs);
    }

    /// Follows a change that was committed.
    pub(crate) fn apply(&mut self, change: Move) {
        match change {
            Move::In(group) => self.add(group, 1),
            Move::Out(group) => {
                if let Some(count) = self.groups.get_mut(&group) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.groups.remove(&group);
                    }
                }
            }
        }
    }

    /// Lists the groups.
    pub(crate) fn list(&self) -> Vec<Depth> {
        let groups = self.groups.iter();
        groups
            .map(|(group, jobs)| Depth {
                model: group.model.clone(),
                runner: group.runner.clone(),
                priority: group.priority,
                caller: group.caller.clone(),
                jobs: *jobs,
            })
            .collect()
    }
}
