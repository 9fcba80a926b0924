//! Makes commits durable beside the writing.
//!
//! A commit writes to the log of the database and does not wait for the disk. Who is told about it
//! waits here: the thread that has committed lays the pen down, has the disk write the log out, and
//! answers them, while another thread writes on. What is committed meanwhile is made durable
//! together, by the thread that is at it. So writing is never slower than its statements, however
//! slow the disk is, and what runs next need not wait for it.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::command::{Command, Commands, Refusal};
use super::owner::Shared;
use crate::StoreError;
use crate::sqlite::Synchronous;
use crate::sqlite::files::Place;

/// Commits that somebody is told about, numbered from 1 on in their order.
#[derive(Debug)]
pub(super) struct Progress {
    /// The number of the last one that was begun.
    begun: AtomicU64,
    /// How far the disk has them.
    durable: watch::Sender<Reached>,
}

/// How far the disk has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Reached {
    number: u64,
    /// Nothing more becomes durable.
    failed: bool,
}

/// Commands that were committed and are to be answered once that is durable.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) commands: Commands,
    /// How many commands their transaction had.
    pub(super) group: usize,
    pub(super) since: Instant,
}

/// What waits for the disk, and the log that it waits for.
#[derive(Debug)]
pub(in crate::sqlite) struct Disk {
    log: File,
    shared: Arc<Shared>,
    batches: Mutex<Batches>,
    /// Rung when nobody is at it any more.
    rested: Condvar,
}

#[derive(Debug, Default)]
struct Batches {
    waiting: Vec<Batch>,
    /// Whether a thread is at it.
    flushing: bool,
    /// A disk that has failed once may say yes the next time, and have lost what was before.
    failed: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            durable: watch::Sender::default(),
        }
    }

    /// Numbers a transaction before it commits, so that nobody sees what it did and not its number.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }

    /// Tells whether everything before this number is durable.
    pub(super) fn is_next(&self, number: u64) -> bool {
        self.durable.borrow().number.saturating_add(1) >= number
    }

    /// Notes that everything up to this number is durable.
    pub(super) fn reach(&self, number: u64) {
        self.durable.send_modify(|reached| {
            reached.number = reached.number.max(number);
        });
    }

    pub(super) fn fail(&self) {
        self.durable.send_modify(|reached| reached.failed = true);
    }

    /// Waits until everything is durable that was begun when this was called.
    pub(super) async fn durable(&self) -> Result<(), StoreError> {
        let begun = self.begun.load(Ordering::Acquire);
        if self.durable.borrow().number >= begun {
            return Ok(());
        }
        let mut durable = self.durable.subscribe();
        let reached = durable
            .wait_for(|reached| reached.failed || reached.number >= begun)
            .await;
        match reached {
            Ok(reached) if reached.number >= begun => Ok(()),
            Ok(_) => Err(StoreError::Failed("a commit is not durable".to_owned())),
            Err(_) => Err(StoreError::Closed),
        }
    }
}

impl Disk {
    /// Opens the log. It must be there, and stay the same file while the database is open.
    pub(in crate::sqlite) fn open(place: &Place, shared: Arc<Shared>) -> io::Result<Self> {
        let log = File::open(place.wal())?;
        // The log may be new: without its name in the directory it would be lost with the power.
        File::open(place.dir())?.sync_all()?;
        Ok(Self::new(log, shared))
    }

    fn new(log: File, shared: Arc<Shared>) -> Self {
        Self {
            log,
            shared,
            batches: Mutex::default(),
            rested: Condvar::new(),
        }
    }

    /// Adds what the next flush makes durable.
    pub(super) fn add(&self, batch: Batch) {
        self.lock().waiting.push(batch);
    }

    /// Takes it on to make durable what waits; not where nothing does, or another thread is at it.
    pub(super) fn begin(&self) -> bool {
        self.lock().begin()
    }

    /// Makes durable what waits now, and answers it; after a [`begin`](Self::begin).
    pub(super) fn flush(&self) {
        let mut batches = self.lock();
        let (together, failed) = (std::mem::take(&mut batches.waiting), batches.failed);
        drop(batches);
        self.write_out(together, failed);
        self.lock().flushing = false;
        self.rested.notify_all();
    }

    /// Waits until nothing waits any more.
    pub(super) fn finish(&self) {
        loop {
            drop(self.rested.wait_while(self.lock(), |it| it.flushing));
            if !self.begin() {
                return;
            }
            self.flush();
        }
    }

    /// Drops what waits; for a thread that has died.
    pub(super) fn abandon(&self) {
        let mut batches = self.lock();
        batches.flushing = false;
        let dropped = std::mem::take(&mut batches.waiting);
        drop(batches);
        self.rested.notify_all();
        drop(dropped);
    }

    fn write_out(&self, together: Vec<Batch>, mut failed: bool) {
        if !failed && let Err(error) = self.log.sync_data() {
            self.shared
                .fail(&format!("the disk does not keep the log: {error}"));
            failed = true;
            self.lock().failed = true;
        }
        for batch in together {
            if failed {
                refuse(batch.commands);
            } else {
                answer(batch, &self.shared);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batches {
    fn begin(&mut self) -> bool {
        let begins = !self.flushing && !self.waiting.is_empty();
        self.flushing |= begins;
        begins
    }
}

fn answer(batch: Batch, shared: &Shared) {
    let Batch {
        number,
        commands,
        group,
        since,
    } = batch;
    if group > 0 {
        shared.committed(group, Synchronous::Full, since.elapsed());
    }
    shared.progress().reach(number);
    commands.0.into_iter().for_each(Command::answer);
}

/// Nobody knows what of these is on the disk.
fn refuse(commands: Commands) {
    let why = Refusal::Unknown("the disk does not keep the log".to_owned());
    for command in commands.0 {
        command.refuse(&why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::writer::command::Ran;
    use crate::sqlite::writer::{DURABLE, Load, Tx};

    #[tokio::test]
    async fn a_reader_waits_for_what_was_begun_before_and_for_no_more() {
        let progress = Progress::new();
        assert!(progress.durable().await.is_ok());

        let first = progress.begin();
        let mut waiting = Box::pin(progress.durable());
        assert!(futures_poll(&mut waiting).is_none());
        progress.begin();
        progress.reach(first);

        assert!(waiting.await.is_ok());
        assert!(futures_poll(&mut Box::pin(progress.durable())).is_none());
    }

    #[tokio::test]
    async fn a_reader_of_what_never_becomes_durable_gets_nothing() {
        let progress = Progress::new();
        progress.begin();

        progress.fail();

        assert!(matches!(
            progress.durable().await,
            Err(StoreError::Failed(_))
        ));
    }

    #[tokio::test]
    async fn what_the_disk_does_not_keep_is_never_answered_as_kept() {
        let shared = Arc::new(Shared::new(
            crate::QueueCounts::default(),
            crate::depth::Depths::default(),
        ));
        // A device that cannot be written out.
        let broken = File::open("/dev/null").unwrap();
        let disk = Disk::new(broken, Arc::clone(&shared));
        let mut answers = Vec::new();
        for number in 1..=2 {
            assert_eq!(shared.progress().begin(), number);
            let (reply, answer) = tokio::sync::oneshot::channel();
            answers.push(answer);
            let commands = Commands(vec![Box::new(Waiting(reply))]);
            let batch = Batch {
                number,
                commands,
                group: 1,
                since: Instant::now(),
            };
            disk.add(batch);
            assert!(disk.begin());
            disk.flush();
            assert!(!disk.begin());
        }

        for answer in answers {
            assert!(matches!(answer.await.unwrap(), Some(Refusal::Unknown(_))));
        }
        assert!(matches!(shared.durable().await, Err(StoreError::Failed(_))));
        assert!(matches!(
            *shared.health().borrow(),
            crate::StoreHealth::Failed { .. }
        ));
        assert_eq!(shared.stats().commits, 0);
    }

    /// Tells how it was answered: by a refusal, or none.
    struct Waiting(tokio::sync::oneshot::Sender<Option<Refusal>>);

    impl Command for Waiting {
        fn load(&self) -> Load {
            DURABLE
        }

        fn run(&mut self, _tx: &mut Tx<'_>) -> Ran {
            Ran::Well
        }

        fn answer(self: Box<Self>) {
            assert!(self.0.send(None).is_ok());
        }

        fn refuse(self: Box<Self>, why: &Refusal) {
            assert!(self.0.send(Some(why.clone())).is_ok());
        }
    }

    /// Looks once.
    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
