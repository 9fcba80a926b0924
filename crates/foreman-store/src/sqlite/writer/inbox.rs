//! Commands on their way to the thread that writes next.
//!
//! Two threads take turns. One of them has the pen, takes all that has come, and writes it; the
//! other one waits for the disk, or here. So what comes is written in its order, nothing that comes
//! wakes more than one thread, and a lone commit is made durable by the thread that made it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::command::{Command, Commands};
use crate::StoreError;

/// Commands of one group: a commit is shared by many, and none waits long for the others.
const GROUP: usize = 256;

/// Bytes of one group, so that a large body delays no change of state by much.
const GROUP_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes that a commit waits for.
const MORE_BYTES: u64 = 64 * 1024;

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

#[derive(Debug, Default)]
struct State {
    commands: Commands,
    closing: Option<Closing>,
    /// Whether a thread has the pen.
    writing: bool,
    /// Whether jobs waited in the queue after the last group.
    jobs_wait: bool,
    pace: Pace,
    /// Whether nothing more is taken.
    ended: bool,
}

/// How soon what comes is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Pace {
    #[default]
    Prompt,
    /// What need not be written now waits for the disk: it could not be answered before.
    Patient,
}

impl Inbox {
    /// Adds a command; gives it back where nothing is taken any more.
    pub(super) fn send(&self, command: Box<dyn Command>) -> Result<(), Box<dyn Command>> {
        let mut state = self.lock();
        if state.ended {
            return Err(command);
        }
        state.commands.0.push(command);
        let calls = state.can_take();
        drop(state);
        self.ring(calls);
        Ok(())
    }

    /// Takes nothing more, and has somebody told when all is written.
    pub(super) fn close(&self, closing: Closing) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        state.ended = true;
        state.closing = Some(closing);
        let calls = state.can_take();
        drop(state);
        self.ring(calls);
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
        let mut state = self.lock();
        let turn = state.take();
        let is_over = state.is_over();
        drop(state);
        if is_over {
            // For the other thread this was all.
            self.changed.notify_all();
        }
        turn
    }

    /// Takes what has come since, for the one who has the pen and is about to commit: nothing that
    /// would delay this by much.
    pub(super) fn more(&self) -> Vec<Box<dyn Command>> {
        self.lock().more()
    }

    /// Takes the pen if something has come that need not wait for the next flush, since no job
    /// waits in the queue.
    pub(super) fn take_more(&self) -> Option<Vec<Box<dyn Command>>> {
        let mut state = self.lock();
        if state.writing || state.jobs_wait {
            return None;
        }
        let more = state.more();
        state.writing = !more.is_empty();
        state.writing.then_some(more)
    }

    /// Waits for something to do, and takes the pen; none when there will be nothing more.
    pub(super) fn take(&self, patience: Duration) -> Option<Turn> {
        loop {
            let nothing = |state: &mut State| !state.can_take() && !state.is_over();
            let waited = self
                .changed
                .wait_timeout_while(self.lock(), patience, nothing);
            let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            let turn = match state.take() {
                None if timeout.timed_out() => state.rest(),
                turn => turn,
            };
            if state.is_over() {
                // For the other thread this was all.
                self.changed.notify_all();
                return turn;
            }
            if turn.is_some() {
                return turn;
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
        state.pace = if state.jobs_wait {
            Pace::Patient
        } else {
            Pace::Prompt
        };
        let calls = state.can_take();
        drop(state);
        self.ring(calls);
    }

    /// Has everything written again as it comes.
    pub(super) fn come_back(&self) {
        self.lock().pace = Pace::Prompt;
    }

    fn ring(&self, calls: bool) {
        if calls {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.commands.0.is_empty() && self.closing.is_none()
    }

    /// Tells whether nothing is left to be done, nor will be.
    fn is_over(&self) -> bool {
        self.ended && self.is_empty()
    }

    /// Tells whether what has come is to be written now.
    fn is_due(&self) -> bool {
        self.pace == Pace::Prompt
            || self.ended
            || self.commands.0.len() >= GROUP
            || self.commands.0.iter().any(|it| is_urgent(it.as_ref()))
    }

    /// Tells whether a thread has something to do now.
    fn can_take(&self) -> bool {
        !self.writing && !self.is_empty() && self.is_due()
    }

    fn take(&mut self) -> Option<Turn> {
        if !self.can_take() {
            return None;
        }
        self.writing = true;
        self.next()
    }

    fn rest(&mut self) -> Option<Turn> {
        let rests = !self.writing && self.is_empty() && !self.ended;
        self.writing |= rests;
        rests.then_some(Turn::Rest)
    }

    fn next(&mut self) -> Option<Turn> {
        if self.commands.0.is_empty() {
            return self.closing.take().map(Turn::Close);
        }
        Some(Turn::Write(self.group()))
    }

    /// Takes commands of so many bytes; the first one whatever it has.
    fn group(&mut self) -> Vec<Box<dyn Command>> {
        let count = self.without_last(self.fits(GROUP_BYTES)).max(1);
        self.first(count)
    }

    /// Takes what may be taken along.
    fn more(&mut self) -> Vec<Box<dyn Command>> {
        let count = self.without_last(self.fits(MORE_BYTES));
        self.first(count)
    }

    /// Leaves out the last of so many commands if nobody waits for it: what comes next may make one
    /// change of both. It is the first of the next group.
    fn without_last(&self, count: usize) -> usize {
        let before = count.saturating_sub(1);
        match self.commands.0.get(before) {
            Some(last) if last.load().can_be_late() => before,
            Some(_) | None => count,
        }
    }

    /// Counts the commands of so many bytes.
    fn fits(&self, most: u64) -> usize {
        let mut bytes = 0_u64;
        let fits = self.commands.0.iter().take(GROUP).take_while(|command| {
            bytes = bytes.saturating_add(command.load().bytes);
            bytes <= most
        });
        fits.count()
    }

    fn first(&mut self, count: usize) -> Vec<Box<dyn Command>> {
        let count = count.min(self.commands.0.len());
        let rest = self.commands.0.split_off(count);
        std::mem::replace(&mut self.commands.0, rest)
    }
}

fn is_urgent(command: &dyn Command) -> bool {
    command.load().urgent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::writer::command::{Ran, Refusal};
    use crate::sqlite::writer::{DURABLE, Durability, Load, Tx};

    struct Numbered(Load);

    impl Command for Numbered {
        fn load(&self) -> Load {
            self.0
        }

        fn run(&mut self, _tx: &mut Tx<'_>) -> Ran {
            Ran::Well
        }

        fn answer(self: Box<Self>) {}

        fn refuse(self: Box<Self>, _why: &Refusal) {}
    }

    fn numbered(bytes: u64, urgent: bool) -> Numbered {
        Numbered(Load {
            urgent,
            bytes,
            ..DURABLE
        })
    }

    fn send(inbox: &Inbox, number: u64, urgent: bool) {
        assert!(inbox.send(Box::new(numbered(number, urgent))).is_ok());
    }

    fn send_what_can_be_late(inbox: &Inbox, bytes: u64) {
        let load = Load {
            durability: Durability::Ordered,
            bytes,
            ..DURABLE
        };
        assert!(inbox.send(Box::new(Numbered(load))).is_ok());
    }

    /// Names what is to be written; none where there is nothing to be done now.
    fn group(turn: Option<Turn>) -> Option<Vec<u64>> {
        match turn? {
            Turn::Write(group) => Some(group.iter().map(|it| it.load().bytes).collect()),
            Turn::Rest | Turn::Close(_) => Some(Vec::new()),
        }
    }

    #[test]
    fn one_writes_at_a_time_and_what_came_first_is_first() {
        let inbox = Inbox::default();
        send(&inbox, 1, false);
        send(&inbox, 2, true);
        assert_eq!(group(inbox.try_take()), Some(vec![1, 2]));

        send(&inbox, 3, false);
        assert_eq!(group(inbox.try_take()), None);

        inbox.lay_down(false);
        assert_eq!(group(inbox.try_take()), Some(vec![3]));
    }

    #[test]
    fn while_jobs_wait_what_cannot_be_answered_yet_waits_for_the_disk_or_for_company() {
        let inbox = Inbox::default();
        inbox.lay_down(true);
        inbox.leave();

        send(&inbox, 1, false);
        assert_eq!(group(inbox.try_take()), None);
        send(&inbox, 2, true);
        assert_eq!(group(inbox.try_take()), Some(vec![1, 2]));

        inbox.lay_down(true);
        send(&inbox, 3, false);
        assert_eq!(group(inbox.try_take()), None);
        inbox.come_back();
        assert_eq!(group(inbox.try_take()), Some(vec![3]));
    }

    #[test]
    fn while_no_job_waits_nothing_waits_for_the_disk() {
        let inbox = Inbox::default();
        inbox.lay_down(false);
        inbox.leave();

        send(&inbox, 1, false);

        assert_eq!(group(inbox.try_take()), Some(vec![1]));
    }

    #[test]
    fn whom_nobody_waits_for_is_taken_with_the_one_behind_it_or_by_itself() {
        let inbox = Inbox::default();
        send_what_can_be_late(&inbox, 1);
        send(&inbox, 2, false);
        send_what_can_be_late(&inbox, 3);
        assert_eq!(group(inbox.try_take()), Some(vec![1, 2]));

        assert_eq!(inbox.more().len(), 0);
        inbox.lay_down(false);
        assert_eq!(group(inbox.try_take()), Some(vec![3]));

        send_what_can_be_late(&inbox, 4);
        send(&inbox, 5, false);
        assert_eq!(inbox.more().len(), 2);
    }

    #[test]
    fn what_came_before_the_end_is_still_written() {
        let inbox = Inbox::default();
        inbox.lay_down(true);
        inbox.leave();
        send(&inbox, 1, false);

        inbox.end();

        assert!(inbox.send(Box::new(numbered(2, false))).is_err());
        assert_eq!(group(inbox.take(Duration::MAX)), Some(vec![1]));
        inbox.lay_down(false);
        assert_eq!(group(inbox.take(Duration::MAX)), None);
    }

    #[test]
    fn both_threads_end_when_one_of_them_has_taken_the_last_of_it() {
        let inbox = Inbox::default();
        let work = || {
            let mut written = 0;
            while let Some(taken) = group(inbox.take(Duration::MAX)) {
                written += taken.len();
                inbox.lay_down(false);
            }
            written
        };

        let written: usize = std::thread::scope(|scope| {
            let threads = [scope.spawn(work), scope.spawn(work)];
            send(&inbox, 1, false);
            inbox.end();
            threads.map(|it| it.join().unwrap()).into_iter().sum()
        });

        assert_eq!(written, 1);
    }

    #[test]
    fn a_close_comes_after_everything_else() {
        let inbox = Inbox::default();
        send(&inbox, 1, false);
        let (reply, _answer) = oneshot::channel();

        inbox.close(reply);

        assert_eq!(group(inbox.take(Duration::MAX)), Some(vec![1]));
        inbox.lay_down(false);
        assert!(matches!(inbox.take(Duration::MAX), Some(Turn::Close(_))));
    }

    #[test]
    fn a_group_has_a_bound() {
        let inbox = Inbox::default();
        for _ in 0..=GROUP {
            send(&inbox, 0, false);
        }
        send(&inbox, GROUP_BYTES, false);
        send(&inbox, 1, false);

        let mut sizes = Vec::new();
        while let Some(group) = group(inbox.try_take()) {
            sizes.push(group.len());
            inbox.lay_down(false);
        }

        assert_eq!(sizes, [GROUP, 2, 1]);
    }
}
