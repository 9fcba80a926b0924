//! What is written, and what everybody is told of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foreman_job::{Job, Timestamp};
use rusqlite::Connection;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::answer::{Done, is_told};
use super::batch::{self, Changes, Fault, Tx};
use super::checkpoint::{self, Checkpointer};
use super::command::{Command, Commands, Refusal};
use super::intake::Intake;
use super::sync::{Disk, Progress};
use crate::depth::{Depths, Oldest, Sketch};
use crate::sqlite::files::{Identity, LockFile, Place};
use crate::sqlite::{CLEAN_STOP, StoreStats, Synchronous, connection, queries};
use crate::{Depth, QueueCounts, StoreError, StoreHealth};

/// No healthy log is larger: what is read of it is written out, and then it starts anew.
pub(in crate::sqlite) const LOG_BOUND: u64 = 64 * 1024 * 1024;

/// How often a command was tried in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Not yet.
    First,
    /// Once, with others, and now by itself.
    Alone,
}

/// What the writer tells everybody.
#[derive(Debug)]
pub(in crate::sqlite) struct Shared {
    counts: Mutex<QueueCounts>,
    depths: Mutex<Depths>,
    stats: Mutex<StoreStats>,
    health: watch::Sender<StoreHealth>,
    progress: Progress,
    /// Rung at each commit after which jobs wait.
    arrivals: Arc<Notify>,
}

/// The owner of the only connection that writes.
///
/// The fields are dropped in this order: the lock goes last.
#[derive(Debug)]
pub(in crate::sqlite) struct Writer {
    /// Where those wait who must be told of nothing that the disk does not have.
    pub(in crate::sqlite) disk: Arc<Disk>,
    /// Moves the log; ends before the connection does, too.
    pub(in crate::sqlite) checkpointer: Checkpointer,
    pub(in crate::sqlite) conn: Connection,
    pub(in crate::sqlite) intake: Intake,
    /// Those that found nothing yet, and wait for more.
    pub(in crate::sqlite) waiting: Commands,
    /// What is in the queue, ahead of what everybody is told by the transaction that runs.
    pub(in crate::sqlite) depths: Depths,
    pub(in crate::sqlite) shared: Arc<Shared>,
    pub(in crate::sqlite) place: Place,
    pub(in crate::sqlite) identity: Identity,
    pub(in crate::sqlite) synchronous: Synchronous,
    pub(in crate::sqlite) idle: Duration,
    /// Whether something was committed since the last checkpoint.
    pub(in crate::sqlite) dirty: bool,
    /// A log that grows beyond this is worth a warning.
    pub(in crate::sqlite) log_bound: u64,
    pub(in crate::sqlite) _lock: LockFile,
}

impl Shared {
    pub(in crate::sqlite) fn new(counts: QueueCounts, depths: Depths) -> Self {
        Self {
            counts: Mutex::new(counts),
            depths: Mutex::new(depths),
            stats: Mutex::new(StoreStats::default()),
            health: watch::Sender::new(StoreHealth::Ok),
            progress: Progress::new(),
            arrivals: Arc::default(),
        }
    }

    pub(in crate::sqlite) fn counts(&self) -> QueueCounts {
        *lock(&self.counts)
    }

    pub(in crate::sqlite) fn depths(&self) -> Vec<Depth> {
        lock(&self.depths).list()
    }

    /// Looks at what everybody is told of the queue.
    pub(in crate::sqlite) fn with_depths<T>(&self, look: impl FnOnce(&Depths) -> T) -> T {
        look(&lock(&self.depths))
    }

    /// Says where jobs stand, as far as the counts say.
    pub(in crate::sqlite) fn sketch(&self, jobs: &[Job], now: Timestamp) -> Sketch {
        lock(&self.depths).sketch(jobs, now)
    }

    /// Finds the oldest of the waiting jobs, as far as the counts say.
    pub(in crate::sqlite) fn oldest(&self) -> Oldest {
        lock(&self.depths).oldest()
    }

    /// How far commits are durable.
    pub(super) const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Waits until everything is durable that can be seen now.
    ///
    /// # Errors
    ///
    /// When it never will be.
    pub(in crate::sqlite) async fn durable(&self) -> Result<(), StoreError> {
        self.progress.durable().await
    }

    pub(in crate::sqlite) fn arrivals(&self) -> Arc<Notify> {
        Arc::clone(&self.arrivals)
    }

    /// Notes what a commit did to the queue.
    fn changed(&self, changes: &Changes) {
        let arrived = changes.counts.queued > 0 && !changes.moves.is_empty();
        let mut depths = lock(&self.depths);
        changes.moves.iter().for_each(|it| depths.apply(it));
        *lock(&self.counts) = changes.counts;
        drop(depths);
        if arrived {
            self.arrivals.notify_one();
        }
    }

    pub(in crate::sqlite) fn stats(&self) -> StoreStats {
        *lock(&self.stats)
    }

    pub(in crate::sqlite) fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    /// Ends all writing until a restart; the first reason stays.
    pub(in crate::sqlite) fn fail(&self, reason: &str) {
        self.health.send_if_modified(|health| {
            if matches!(health, StoreHealth::Failed { .. }) {
                return false;
            }
            tracing::error!(reason, "store has failed, nothing more is written");
            self.progress.fail();
            *health = StoreHealth::Failed {
                reason: reason.to_owned(),
            };
            true
        });
    }

    fn failure(&self) -> Option<String> {
        match &*self.health.borrow() {
            StoreHealth::Failed { reason } => Some(reason.clone()),
            StoreHealth::Ok | StoreHealth::IntakeClosed { .. } => None,
        }
    }

    fn tell_intake(&self, closed: Option<String>) {
        self.health.send_if_modified(|health| {
            let now = match closed {
                Some(reason) => StoreHealth::IntakeClosed { reason },
                None => StoreHealth::Ok,
            };
            let was_closed = matches!(health, StoreHealth::IntakeClosed { .. });
            if matches!(health, StoreHealth::Failed { .. }) || *health == now {
                return false;
            }
            match &now {
                StoreHealth::IntakeClosed { reason } if !was_closed => {
                    tracing::warn!(reason, "no new jobs are taken");
                }
                StoreHealth::Ok => tracing::info!("new jobs are taken again"),
                StoreHealth::IntakeClosed { .. } | StoreHealth::Failed { .. } => {}
            }
            *health = now;
            true
        });
    }

    pub(super) fn committed(&self, group: usize, level: Synchronous, took: Duration) {
        lock(&self.stats).committed(group, level, took);
    }
}

impl Writer {
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Prepares the connection for its work.
    pub(super) fn begin(&self) {
        // Those who must wait for the disk do it elsewhere.
        if let Err(error) = connection::set_synchronous(&self.conn, Synchronous::Normal) {
            self.shared.fail(&error.to_string());
        }
        Checkpointer::watch(&self.conn);
    }

    /// Writes a group, and `more` that has come meanwhile; who must be told of nothing that the disk
    /// does not have waits for it then.
    pub(super) fn write(
        &mut self,
        group: Vec<Box<dyn Command>>,
        more: impl FnOnce() -> Vec<Box<dyn Command>>,
    ) {
        if !self.jobs_wait() && group.iter().all(|it| it.waits()) {
            // There is nothing that they could find.
            return self.waiting.0.extend(group);
        }
        self.process(group, Round::First, more);
        self.checkpointer.look(&self.conn);
    }

    /// Runs a group, and answers everybody in it.
    fn process(
        &mut self,
        mut group: Vec<Box<dyn Command>>,
        round: Round,
        more: impl FnOnce() -> Vec<Box<dyn Command>>,
    ) {
        self.watch_file();
        if let Some(reason) = self.shared.failure() {
            group.append(&mut self.waiting.0);
            return refuse(group, &Refusal::Failed(reason));
        }
        match catch_unwind(AssertUnwindSafe(|| self.attempt(&mut group, round, more))) {
            Ok(Ok(done)) => self.answer(group, done),
            Ok(Err(fault)) => self.undone(group, fault, round),
            Err(_panic) => {
                batch::end(&self.conn);
                self.fail(group, "the writer has panicked");
            }
        }
    }

    /// Runs a group in one transaction.
    fn attempt(
        &mut self,
        group: &mut Vec<Box<dyn Command>>,
        round: Round,
        more: impl FnOnce() -> Vec<Box<dyn Command>>,
    ) -> Result<Done, Fault> {
        let room = self.intake.look();
        self.shared.tell_intake(self.intake.closed());
        let since = Instant::now();
        let counts = self.shared.counts();
        let progress = &self.shared.progress;
        let tells = self.synchronous == Synchronous::Full;
        let mut number = (tells && is_told(group)).then(|| progress.begin());
        let rows = self.conn.total_changes();
        let tx = Tx::new(&self.conn, &mut self.depths, counts, room);
        let waiting = match round {
            Round::First => self.waiting.0.as_mut_slice(),
            // Nobody else is to blame there.
            Round::Alone => &mut [],
        };
        let more = || {
            let more = more();
            if number.is_none() && tells && is_told(&more) {
                number = Some(progress.begin());
            }
            more
        };
        let changes = match batch::run(tx, group, waiting, more) {
            Ok(changes) => changes,
            Err(fault) => {
                self.reach_without_writing(number, since);
                return Err(fault);
            }
        };
        self.shared.changed(&changes);
        self.dirty = true;
        self.watch_log();
        Ok(Done {
            number,
            wrote: self.conn.total_changes() != rows,
            since,
        })
    }

    /// Goes on after a transaction that did not commit.
    fn undone(&mut self, group: Vec<Box<dyn Command>>, fault: Fault, round: Round) {
        match (fault, round) {
            (Fault::Unknown(reason), _) => self.fail(group, &reason),
            (Fault::Busy, _) => refuse(group, &Refusal::Busy),
            (Fault::Full(reason), Round::First) => {
                self.intake.full(&reason);
                self.one_by_one(group);
                self.shared.tell_intake(self.intake.closed());
            }
            (Fault::Full(reason), Round::Alone) => refuse(group, &Refusal::Full(reason)),
            // One of them was to blame.
            (Fault::Undone(_), Round::First) => self.one_by_one(group),
            (Fault::Undone(reason), Round::Alone) => refuse(group, &Refusal::Undone(reason)),
        }
    }

    /// Gives each command a transaction of its own.
    fn one_by_one(&mut self, group: Vec<Box<dyn Command>>) {
        for command in group {
            self.process(vec![command], Round::Alone, Vec::new);
        }
        if self.jobs_wait() {
            // Those that wait for jobs have seen none of them.
            for command in std::mem::take(&mut self.waiting.0) {
                self.process(vec![command], Round::Alone, Vec::new);
            }
        }
    }

    /// Gives up: nobody knows what of this group is on disk.
    fn fail(&mut self, mut group: Vec<Box<dyn Command>>, reason: &str) {
        self.shared.fail(reason);
        group.append(&mut self.waiting.0);
        refuse(group, &Refusal::Unknown(reason.to_owned()));
    }

    /// Fails when the database is not the file any more that it was.
    fn watch_file(&self) {
        if self.place.identity().ok() != Some(self.identity) {
            self.shared.fail(
                "the database file was removed, replaced or cut off; restore it before a start",
            );
        }
    }

    /// Warns when the log cannot be written out, and again each time that it has doubled.
    fn watch_log(&mut self) {
        let bytes = checkpoint::logged();
        if bytes <= LOG_BOUND {
            self.log_bound = LOG_BOUND;
        } else if bytes > self.log_bound {
            self.log_bound = bytes.saturating_mul(2);
            tracing::warn!(
                bytes,
                "write-ahead log grows: a program has had the database open for reading too long; end it"
            );
        }
    }

    /// Tells whether jobs wait in the queue.
    pub(super) fn jobs_wait(&self) -> bool {
        self.shared.counts().queued > 0
    }

    /// Uses a quiet moment.
    pub(super) fn rest(&mut self) {
        self.watch_file();
        if self.shared.failure().is_some() {
            return;
        }
        self.intake.idle();
        self.shared.tell_intake(self.intake.closed());
        if std::mem::take(&mut self.dirty) {
            checkpoint::checkpoint(&self.conn);
        }
    }

    /// Leaves the database as a whole, with a mark that says so.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.disk.finish();
        self.checkpointer.finish();
        if let Some(reason) = self.shared.failure() {
            return Err(StoreError::Failed(reason));
        }
        connection::set_synchronous(&self.conn, self.synchronous)?;
        queries::save_note(&self.conn, CLEAN_STOP, &[])?;
        if let Err(error) = connection::checkpoint(&self.conn, "TRUNCATE") {
            // Nothing is lost: the next owner reads the log.
            tracing::warn!(%error, "write-ahead log cannot be moved into the database");
        }
        Ok(())
    }
}

fn refuse(group: Vec<Box<dyn Command>>, why: &Refusal) {
    for command in group {
        command.refuse(why);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
