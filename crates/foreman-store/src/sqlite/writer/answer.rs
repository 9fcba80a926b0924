//! Who is answered at a commit, and who when it is durable.

use tokio::time::Instant;

use super::command::{Command, Commands, Durability};
use super::owner::Writer;
use super::sync::Batch;
use crate::sqlite::Synchronous;

/// A transaction that was committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Its number among those that somebody is told about.
    pub(super) number: Option<u64>,
    /// Whether it changed anything.
    pub(super) wrote: bool,
    pub(super) since: Instant,
}

fn is_durable(command: &dyn Command) -> bool {
    command.load().durability == Durability::Durable
}

impl Writer {
    /// Answers a group that was committed, once what it is told is durable.
    pub(super) fn answer(&mut self, mut group: Vec<Box<dyn Command>>, done: Done) {
        let Done {
            number,
            wrote,
            since,
        } = done;
        let size = group.len().saturating_add(self.answer_waiting());
        self.waiting.0.extend(group.extract_if(.., |it| it.waits()));
        let Some(number) = number else {
            self.shared
                .committed(size, Synchronous::Normal, since.elapsed());
            return group.into_iter().for_each(Command::answer);
        };
        if !wrote && self.shared.progress().is_next(number) {
            self.shared
                .committed(size, Synchronous::Normal, since.elapsed());
            self.shared.progress().reach(number);
            return group.into_iter().for_each(Command::answer);
        }
        let (told, now): (Vec<_>, Vec<_>) = group
            .into_iter()
            .partition(|command| is_durable(command.as_ref()));
        now.into_iter().for_each(Command::answer);
        let batch = Batch {
            number,
            commands: Commands(told),
            group: size,
            since,
        };
        self.disk.add(batch);
    }

    /// Answers those that wait no longer, and returns how many.
    fn answer_waiting(&mut self) -> usize {
        let served: Vec<_> = self.waiting.0.extract_if(.., |it| !it.waits()).collect();
        let count = served.len();
        served.into_iter().for_each(Command::answer);
        count
    }

    /// Passes over the number of a transaction that changed nothing.
    pub(super) fn reach_without_writing(&self, number: Option<u64>, since: Instant) {
        let Some(number) = number else {
            return;
        };
        if self.shared.progress().is_next(number) {
            return self.shared.progress().reach(number);
        }
        let batch = Batch {
            number,
            commands: Commands::default(),
            group: 0,
            since,
        };
        self.disk.add(batch);
    }
}

/// Tells whether a group has commands whose answer must survive a loss of power.
pub(super) fn is_told(group: &[Box<dyn Command>]) -> bool {
    group.iter().any(|command| is_durable(command.as_ref()))
}
