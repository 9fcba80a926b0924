//! Commands on their way to the thread that writes next.
//!
//! Two threads take turns. One of them has the pen, takes all that has come, and writes it; the
//! other one waits for the disk, or here. So what comes is written in its order, nothing that comes
//! wakes more than one thread, and a lone commit is made durable by the thread that made it.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::command::{Command, Durability};
use crate::StoreError;

/// Commands of one group: a commit is shared by many, and none waits long for the others.
const GROUP: usize = 256;

/// Bytes of one group, so that a large body delays no change of state by much.
const GROUP_BYTES: u64 = 4 * 1024 * 1024;

/// Who asked to close, and waits for it.
pub(super) type Closing = oneshot::Sender<Result<(), StoreError>>;

/// What whoever has the pen is to do.
pub(super) enum Turn {
    /// Write these.
    Write(Vec<Box<dyn Command>>),
    /// Nothing came for a while.
    Rest,
    /// Nothing comes any more.
    Close(Closing),
}

/// Where commands wait.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    commands: Vec<Box<dyn Command>>,
    closing: Option<Closing>,
    /// Whether a thread has the pen.
    writing: bool,
    /// Whether jobs waited in the queue after the last group.
    jobs_wait: bool,
    /// Whether what need not be written now waits for the disk: it could not be answered before.
    patient: bool,
    /// Whether something that came must be written now.
    urgent: bool,
    /// Whether nothing more is taken.
    ended: bool,
}

impl Inbox {
    /// Adds a command; gives it back where nothing is taken any more.
    pub(super) fn send(&self, command: Box<dyn Command>) -> Result<(), Box<dyn Command>> {
        let mut state = self.lock();
        if state.ended {
            return Err(command);
        }
        state.urgent |= is_urgent(command.as_ref());
        state.commands.push(command);
        self.ring(state);
        Ok(())
    }

    /// Takes nothing more, and has somebody told when all is written.
    pub(super) fn close(&self, closing: Closing) {
        let mut state = self.lock();
        if !state.ended {
            state.ended = true;
            state.closing = Some(closing);
            self.ring(state);
        }
    }

    /// Takes nothing more: what came is written, and then the threads end.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Drops what came; for a thread that has died with the pen.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.ended = true;
        let dropped = (std::mem::take(&mut state.commands), state.closing.take());
        drop(state);
        self.changed.notify_all();
        drop(dropped);
    }

    /// Takes the pen, if there is something to write now.
    pub(super) fn try_take(&self) -> Option<Turn> {
        self.lock().take()
    }

    /// Waits for something to do, and takes the pen; none when there will be nothing more.
    pub(super) fn take(&self, patience: Duration) -> Option<Turn> {
        let mut state = self.lock();
        loop {
            if let Some(turn) = state.take() {
                return Some(turn);
            }
            if state.ended && state.is_empty() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, patience);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if timeout.timed_out() && !state.writing && state.is_empty() && !state.ended {
                state.writing = true;
                return Some(Turn::Rest);
            }
        }
    }

    /// Lays the pen down; notes whether jobs wait in the queue.
    pub(super) fn lay_down(&self, jobs_wait: bool) {
        let mut state = self.lock();
        state.writing = false;
        state.jobs_wait = jobs_wait;
    }

    /// Leaves the pen to the other thread, to wait for the disk. While jobs wait, what need not be
    /// written meanwhile waits as well: fewer commits do for more callers.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.patient = state.jobs_wait;
        if !state.is_empty() {
            self.ring(state);
        }
    }

    /// Has everything written again as it comes.
    pub(super) fn come_back(&self) {
        self.lock().patient = false;
    }

    /// Calls a thread, if none will look by itself.
    fn ring(&self, state: MutexGuard<'_, State>) {
        let is_due = !state.writing && state.is_due();
        drop(state);
        if is_due {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.closing.is_none()
    }

    /// Tells whether what came is to be written now.
    fn is_due(&self) -> bool {
        let can_wait = self.patient && !self.urgent && self.closing.is_none();
        !can_wait || self.commands.len() >= GROUP || self.ended
    }

    fn take(&mut self) -> Option<Turn> {
        if self.writing || !self.is_due() {
            return None;
        }
        let turn = self.next()?;
        self.writing = true;
        Some(turn)
    }

    fn next(&mut self) -> Option<Turn> {
        if self.commands.is_empty() {
            return self.closing.take().map(Turn::Close);
        }
        let mut bytes = 0_u64;
        let fits = self.commands.iter().take(GROUP).take_while(|command| {
            let before = bytes;
            bytes = bytes.saturating_add(command.load().bytes);
            before < GROUP_BYTES
        });
        let count = fits.count();
        let rest = self.commands.split_off(count);
        self.urgent = rest.iter().any(|command| is_urgent(command.as_ref()));
        Some(Turn::Write(std::mem::replace(&mut self.commands, rest)))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("commands", &self.commands.len())
            .field("writing", &self.writing)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Who is answered at the commit waits for nothing else.
fn is_urgent(command: &dyn Command) -> bool {
    command.load().durability == Durability::Ordered
}
