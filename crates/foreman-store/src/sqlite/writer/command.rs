//! What the write lane is asked to do, and how it answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Tx;
use crate::sqlite::error::{Class, class};
use crate::{StoreError, UnknownCause};

/// What an answered command survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sqlite) enum Durability {
    /// The death of the process; a loss of power may undo it with all that follows.
    Ordered,
    /// What the configuration promises.
    Durable,
}

/// What a command costs its group.
#[derive(Debug, Clone, Copy)]
pub(in crate::sqlite) struct Load {
    pub(in crate::sqlite) durability: Durability,
    /// Whether its caller can do nothing before it is answered.
    pub(in crate::sqlite) urgent: bool,
    pub(in crate::sqlite) bytes: u64,
}

impl Load {
    /// Tells whether nobody waits for it, neither to go on nor to be told.
    pub(super) fn can_be_late(&self) -> bool {
        !self.urgent && self.durability == Durability::Ordered
    }
}

/// Of a command that says nothing of its size, and whose caller is told what came of it.
pub(in crate::sqlite) const DURABLE: Load = Load {
    durability: Durability::Durable,
    urgent: false,
    bytes: 0,
};

/// What a command did to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    /// Its changes are to be committed.
    Well,
    /// It changed nothing, or what it changed is to be undone.
    Refused,
    /// The same, but SQLite does not tell whether it changed something: one of its statements broke
    /// off, of which nothing is kept to undo half of it.
    Broken,
    /// The same, and the reason was that the disk is full.
    Full,
}

/// Why a whole transaction had no effect, or may have had none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Full(String),
    Busy,
    Undone(String),
    Unknown(String),
    Failed(String),
}

/// One command of a group. It can be run again when its transaction was undone.
pub(super) trait Command: Send {
    fn load(&self) -> Load;
    fn run(&mut self, tx: &mut Tx<'_>) -> Ran;
    /// Tells the caller what [`run`](Self::run) came to.
    fn answer(self: Box<Self>);
    /// Tells the caller that the transaction had no effect.
    fn refuse(self: Box<Self>, why: &Refusal);

    /// Tells whether it found nothing, and its caller waits until it does.
    fn waits(&self) -> bool {
        false
    }

    /// Forgets what [`run`](Self::run) came to, if it is to wait on: that was undone.
    fn undone(&mut self) {}
}

/// Several commands.
#[derive(Default)]
pub(in crate::sqlite) struct Commands(pub(super) Vec<Box<dyn Command>>);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Commands").field(&self.0.len()).finish()
    }
}

/// A closure with somebody who waits for its outcome.
pub(super) struct Call<T, F> {
    pub(super) load: Load,
    pub(super) run: F,
    pub(super) outcome: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
    /// Bounds the commands that wait.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn load(&self) -> Load {
        self.load
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Ran {
        let outcome = (self.run)(tx);
        let ran = match &outcome {
            Ok(_) => Ran::Well,
            // The intake's own refusal is no news to it.
            Err(StoreError::Full(_)) if !tx.was_refused() => Ran::Full,
            Err(error) if is_broken(error) => Ran::Broken,
            Err(_) => Ran::Refused,
        };
        self.outcome = Some(outcome);
        ran
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // A caller that left does not want to know.
            let _left = self.reply.send(outcome);
        }
    }

    fn refuse(self: Box<Self>, why: &Refusal) {
        let _left = self.reply.send(Err(why.to_error()));
    }
}

/// Tells whether a statement may have broken off in its middle. A constraint refuses a row before
/// anything is written of it.
fn is_broken(error: &StoreError) -> bool {
    let StoreError::Database(cause) = error else {
        return matches!(error, StoreError::Damaged(_));
    };
    cause
        .downcast_ref()
        .is_some_and(|cause| class(cause) != Class::Constraint)
}

/// A call that may find nothing, and is then run again when there is more to find.
pub(super) struct Patient<T, F> {
    pub(super) call: Call<Option<T>, F>,
    /// Set when its caller does not wait any longer.
    pub(super) enough: Arc<AtomicBool>,
}

impl<T, F> Command for Patient<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<Option<T>, StoreError> + Send,
{
    fn load(&self) -> Load {
        self.call.load()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Ran {
        self.call.run(tx)
    }

    fn answer(self: Box<Self>) {
        Box::new(self.call).answer();
    }

    fn refuse(self: Box<Self>, why: &Refusal) {
        Box::new(self.call).refuse(why);
    }

    fn waits(&self) -> bool {
        matches!(self.call.outcome, Some(Ok(None)))
            && !self.enough.load(Ordering::Acquire)
            && !self.call.reply.is_closed()
    }

    fn undone(&mut self) {
        self.call.outcome = Some(Ok(None));
    }
}

impl Refusal {
    pub(super) fn to_error(&self) -> StoreError {
        match self {
            Self::Full(reason) => StoreError::Full(reason.clone()),
            Self::Busy => StoreError::Busy,
            Self::Undone(reason) => StoreError::Database(reason.clone().into()),
            Self::Unknown(reason) => StoreError::Unknown(UnknownCause(reason.clone())),
            Self::Failed(reason) => StoreError::Failed(reason.clone()),
        }
    }
}
