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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// All jobs in the queue, counted; nothing in here is empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Depths {
    classes: BTreeMap<Priority, Class>,
}

/// The callers of some jobs, and how many each has.
type Callers<T> = BTreeMap<Option<String>, T>;

#[derive(Debug, Clone, Default)]
struct Class {
    /// By model as it was spelled.
    runners: BTreeMap<RunnerKey, Callers<BTreeMap<String, u64>>>,
    callers: Callers<u64>,
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

impl Move {
    /// Returns the move that undoes it.
    pub(crate) fn undone(self) -> Self {
        match self {
            Self::In(group) => Self::Out(group),
            Self::Out(group) => Self::In(group),
        }
    }
}

impl Depths {
    /// Adds so many jobs.
    pub(crate) fn add(&mut self, group: Group, jobs: u64) {
        let class = self.classes.entry(group.priority).or_default();
        let of_class = class.callers.entry(group.caller.clone()).or_default();
        *of_class = of_class.saturating_add(jobs);
        let callers = class.runners.entry(group.runner).or_default();
        let models = callers.entry(group.caller).or_default();
        let count = models.entry(group.model).or_default();
        *count = count.saturating_add(jobs);
    }

    /// Follows a change.
    pub(crate) fn apply(&mut self, change: Move) {
        match change {
            Move::In(group) => self.add(group, 1),
            Move::Out(group) => self.remove(&group),
        }
    }

    fn remove(&mut self, group: &Group) {
        let Some(class) = self.classes.get_mut(&group.priority) else {
            return;
        };
        if less(class.callers.get_mut(&group.caller)) {
            class.callers.remove(&group.caller);
        }
        let Some(callers) = class.runners.get_mut(&group.runner) else {
            return;
        };
        if let Some(models) = callers.get_mut(&group.caller) {
            if less(models.get_mut(&group.model)) {
                models.remove(&group.model);
            }
            if models.is_empty() {
                callers.remove(&group.caller);
            }
        }
        if callers.is_empty() {
            class.runners.remove(&group.runner);
        }
        if class.runners.is_empty() {
            self.classes.remove(&group.priority);
        }
    }

    /// Names the callers that have jobs of a class for a runner.
    pub(crate) fn callers_of(&self, class: Priority, runner: &RunnerKey) -> Vec<Option<&str>> {
        let class = self.classes.get(&class);
        let callers = class.and_then(|class| class.runners.get(runner));
        callers.map(names).unwrap_or_default()
    }

    /// Counts the jobs of a class for a runner by who asked for them.
    pub(crate) fn of_runner(
        &self,
        class: Priority,
        runner: &RunnerKey,
    ) -> impl Iterator<Item = (Option<&str>, u64)> {
        let class = self.classes.get(&class);
        let callers = class.and_then(|class| class.runners.get(runner));
        let callers = callers.into_iter().flatten();
        callers.map(|(caller, models)| (caller.as_deref(), models.values().sum()))
    }

    /// Names the callers that have jobs of a class.
    pub(crate) fn callers(&self, class: Priority) -> Vec<Option<&str>> {
        let class = self.classes.get(&class);
        class.map(|class| names(&class.callers)).unwrap_or_default()
    }

    /// Names the runners that jobs of a class need.
    pub(crate) fn runners(&self, class: Priority) -> impl Iterator<Item = &RunnerKey> {
        let class = self.classes.get(&class);
        class.into_iter().flat_map(|class| class.runners.keys())
    }

    /// Lists the groups.
    pub(crate) fn list(&self) -> Vec<Depth> {
        let mut list = Vec::new();
        for (priority, class) in &self.classes {
            for (runner, callers) in &class.runners {
                for (caller, models) in callers {
                    list.extend(models.iter().map(|(model, jobs)| Depth {
                        model: model.clone(),
                        runner: runner.clone(),
                        priority: *priority,
                        caller: caller.clone(),
                        jobs: *jobs,
                    }));
                }
            }
        }
        list
    }
}

/// Takes one away; tells whether none is left.
fn less(count: Option<&mut u64>) -> bool {
    count.is_none_or(|count| {
        *count = count.saturating_sub(1);
        *count == 0
    })
}

fn names<T>(callers: &Callers<T>) -> Vec<Option<&str>> {
    callers.keys().map(Option::as_deref).collect()
}
