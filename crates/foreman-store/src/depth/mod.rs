//! How many jobs wait, by what they need and by who asked, and which of them comes first.

mod depths;
mod lines;
mod moves;
mod recent;
mod standing;

use std::sync::Arc;

use foreman_job::{Job, Priority, RunnerKey};

use crate::NewJob;

pub(crate) use depths::{Depths, Oldest};
pub(crate) use lines::{First, Head, Sight, older};
pub(crate) use moves::{Member, Move, Spot};
pub(crate) use standing::{Old, Sketch};

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

/// What jobs have in common that stand in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) model: String,
    pub(crate) runner: RunnerKey,
    pub(crate) priority: Priority,
    pub(crate) caller: Option<String>,
}

/// What a job has in common with others, wherever it is written.
pub(crate) trait Grouped {
    /// Class, runner, caller and model.
    fn keys(&self) -> (Priority, &RunnerKey, &Option<String>, &String);

    /// Puts it together.
    fn to_group(&self) -> Arc<Group> {
        let (priority, runner, caller, model) = self.keys();
        Arc::new(Group {
            model: model.clone(),
            runner: runner.clone(),
            priority,
            caller: caller.clone(),
        })
    }
}

impl Grouped for Group {
    fn keys(&self) -> (Priority, &RunnerKey, &Option<String>, &String) {
        (self.priority, &self.runner, &self.caller, &self.model)
    }
}

impl Grouped for Job {
    fn keys(&self) -> (Priority, &RunnerKey, &Option<String>, &String) {
        (self.priority, &self.runner, &self.caller, &self.model)
    }
}

impl Grouped for NewJob {
    fn keys(&self) -> (Priority, &RunnerKey, &Option<String>, &String) {
        (self.priority, &self.runner, &self.caller, &self.model)
    }
}

#[cfg(test)]
mod tests;
