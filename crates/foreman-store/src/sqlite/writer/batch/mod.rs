//! One transaction for a group of commands.

mod late;
#[cfg(test)]
mod tests;

use foreman_job::{Job, JobId, JobState, Timestamp};
use rusqlite::Connection;

use super::command::{Command, Ran};
use super::intake::Room;
use crate::depth::{Depths, Move};
use crate::sqlite::error::{Class, class};
use crate::sqlite::rows::Change;
use crate::{QueueCounts, StoreError};
use late::Late;

/// A transaction as its commands see it.
#[derive(Debug)]
pub(in crate::sqlite) struct Tx<'c> {
    conn: &'c Connection,
    /// The counts as they will be after the commit.
    pub(in crate::sqlite) counts: QueueCounts,
    /// The same of the queue.
    depths: &'c mut Depths,
    /// What came into the queue and left it, so far.
    moves: Vec<Move>,
    room: Room,
    /// When the newest of the jobs was accepted that came with it; none when none did.
    newest: Option<Timestamp>,
    /// Whether the command that runs has accepted a job.
    arrived: bool,
    late: Late,
    /// Whether the intake has refused the command that runs.
    refused: bool,
}

impl<'c> Tx<'c> {
    pub(super) fn new(
        conn: &'c Connection,
        depths: &'c mut Depths,
        counts: QueueCounts,
        room: Room,
    ) -> Self {
        Self {
            conn,
            counts,
            depths,
            moves: Vec::new(),
            room,
            newest: None,
            arrived: false,
            late: Late::default(),
            refused: false,
        }
    }

    /// Returns the connection, with everything written that was said to be.
    pub(in crate::sqlite) fn conn(&mut self) -> Result<&'c Connection, StoreError> {
        self.late.catch_up(self.conn)?;
        Ok(self.conn)
    }

    /// Returns the connection for a statement that has to do with no job but a new one.
    pub(in crate::sqlite) const fn conn_for_new(&self) -> &'c Connection {
        self.conn
    }

    /// Writes a job that was claimed just now: at the latest before anything else is done with the
    /// connection, and together with the end of its run where that is the next that is written.
    pub(in crate::sqlite) fn write_claim(
        &mut self,
        job: &Job,
        change: Change,
    ) -> Result<(), StoreError> {
        self.late.claim(self.conn, job, change)
    }

    /// Writes a job that another event has changed.
    pub(in crate::sqlite) fn write(&mut self, job: &Job, change: Change) -> Result<(), StoreError> {
        self.late.write(self.conn, job, change)
    }

    /// Returns a job that was claimed and is not written yet.
    pub(in crate::sqlite) fn held(&self, id: JobId) -> Option<&Job> {
        self.late.held(id)
    }

    /// Takes room for a new job.
    pub(in crate::sqlite) fn admit(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.room.take(bytes).map_err(|reason| {
            self.refused = true;
            StoreError::Full(reason)
        })
    }

    /// Gives a new job its place.
    pub(in crate::sqlite) const fn give_place(&mut self) -> i64 {
        self.depths.give()
    }

    /// Notes that a new job was accepted.
    pub(in crate::sqlite) fn accepted(&mut self, at: Timestamp) {
        self.newest = self.newest.max(Some(at));
        self.arrived = true;
    }

    /// Returns the time at which something is done that was asked for at a time: what was accepted
    /// meanwhile came before.
    pub(in crate::sqlite) fn now(&self, asked: Timestamp) -> Timestamp {
        self.newest.map_or(asked, |newest| newest.max(asked))
    }

    /// Counts a change of state; a job enters from none and leaves to none.
    pub(in crate::sqlite) const fn moved(&mut self, from: Option<JobState>, to: Option<JobState>) {
        if let Some(from) = from {
            let count = self.counts.of_mut(from);
            *count = count.saturating_sub(1);
        }
        if let Some(to) = to {
            let count = self.counts.of_mut(to);
            *count = count.saturating_add(1);
        }
    }

    /// Notes that a job came into the queue or left it.
    pub(in crate::sqlite) fn queue_moved(&mut self, change: Move) {
        self.depths.apply(&change);
        self.moves.push(change);
    }

    /// Returns the queue, counted.
    pub(in crate::sqlite) const fn depths(&self) -> &Depths {
        self.depths
    }

    /// Returns it to note what was looked for.
    pub(in crate::sqlite) const fn depths_mut(&mut self) -> &mut Depths {
        self.depths
    }

    /// Returns how far it has come.
    fn mark(&self) -> Mark {
        Mark {
            counts: self.counts,
            newest: self.newest,
            moves: self.moves.len(),
            place: self.depths.given(),
        }
    }

    /// Undoes what was counted, came and left after a mark.
    fn back_to(&mut self, mark: Mark) {
        self.counts = mark.counts;
        self.newest = mark.newest;
        for change in self.moves.drain(mark.moves..).rev() {
            self.depths.undo(&change);
        }
        self.depths.take_back(mark.place);
    }

    pub(super) const fn was_refused(&self) -> bool {
        self.refused
    }
}

/// How far a transaction has come in what is kept in memory.
#[derive(Debug, Clone, Copy)]
struct Mark {
    counts: QueueCounts,
    newest: Option<Timestamp>,
    moves: usize,
    place: i64,
}

/// What a transaction did to the queue.
#[derive(Debug)]
pub(super) struct Changes {
    /// The counts afterwards.
    pub(super) counts: QueueCounts,
    pub(super) moves: Vec<Move>,
}

/// Why a transaction did not simply commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing was changed: the disk is full.
    Full(String),
    /// Nothing was changed: another process writes.
    Busy,
    /// Nothing was changed, for another reason.
    Undone(String),
    /// The commit failed in a way that may have reached the disk.
    Unknown(String),
}

/// Why the commands of a transaction were not all run.
#[derive(Debug)]
enum Stop {
    Fault(Fault),
    /// One of them must be undone, and the others not.
    Apart,
}

/// Runs the commands, those that have come meanwhile, and commits; returns what that did to the
/// queue. Those that wait are run too when jobs were accepted.
///
/// A savepoint for each command costs as much as many of them do, and those that change something
/// and are refused all the same are rare. So they are run without, and when such a one is met,
/// everything is begun anew with savepoints.
///
/// After an error the transaction is over.
pub(super) fn run(
    mut tx: Tx<'_>,
    commands: &mut Vec<Box<dyn Command>>,
    waiting: &mut [Box<dyn Command>],
    more: impl FnOnce() -> Vec<Box<dyn Command>>,
) -> Result<Changes, Fault> {
    let mut stopped = once(&mut tx, commands, waiting, more, false);
    if matches!(stopped, Err(Stop::Apart)) {
        stopped = once(&mut tx, commands, waiting, Vec::new, true);
    }
    match stopped {
        Ok(()) => Ok(Changes {
            counts: tx.counts,
            moves: tx.moves,
        }),
        Err(Stop::Fault(fault)) => Err(fault),
        Err(Stop::Apart) => Err(Fault::Undone("a command cannot be undone".to_owned())),
    }
}

fn once(
    tx: &mut Tx<'_>,
    commands: &mut Vec<Box<dyn Command>>,
    waiting: &mut [Box<dyn Command>],
    more: impl FnOnce() -> Vec<Box<dyn Command>>,
    with_savepoints: bool,
) -> Result<(), Stop> {
    let (conn, mark) = (tx.conn, tx.mark());
    tx.late = if with_savepoints {
        Late::at_once()
    } else {
        Late::default()
    };
    let outcome = begin(conn).map_err(Stop::Fault).and_then(|()| {
        let mut here = Vec::new();
        run_from(tx, 0, (commands, &mut here), waiting, with_savepoints)?;
        let first = commands.len();
        commands.append(&mut more());
        run_from(tx, first, (commands, &mut here), waiting, with_savepoints)?;
        let caught_up = tx.late.catch_up(conn);
        caught_up.map_err(|error| not_caught_up(&error))?;
        commit(conn).map_err(Stop::Fault)
    });
    if outcome.is_err() {
        end(conn);
        tx.back_to(mark);
        for command in waiting {
            command.undone();
        }
    }
    outcome
}

/// Runs commands from one on, in their order. Those that wait for jobs, also the ones `here` among the
/// commands, are run again behind each one that accepts some: what comes later may be about the job
/// that they find.
fn run_from(
    tx: &mut Tx<'_>,
    first: usize,
    (commands, here): (&mut [Box<dyn Command>], &mut Vec<usize>),
    waiting: &mut [Box<dyn Command>],
    with_savepoints: bool,
) -> Result<(), Stop> {
    for number in first..commands.len() {
        let Some(command) = commands.get_mut(number) else {
            continue;
        };
        run_one(tx, command.as_mut(), with_savepoints)?;
        if command.waits() {
            here.push(number);
        }
        if !std::mem::take(&mut tx.arrived) {
            continue;
        }
        for command in waiting.iter_mut().filter(|it| it.waits()) {
            run_one(tx, command.as_mut(), with_savepoints)?;
        }
        for number in here.iter() {
            if let Some(command) = commands.get_mut(*number).filter(|it| it.waits()) {
                run_one(tx, command.as_mut(), with_savepoints)?;
            }
        }
    }
    Ok(())
}

/// Undoes a transaction that is still open.
pub(super) fn end(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = execute(conn, "ROLLBACK")
    {
        tracing::error!(%error, "transaction cannot be undone");
    }
}

/// Judges a claim that could not be written late. Written by itself it says more.
fn not_caught_up(error: &StoreError) -> Stop {
    if let StoreError::Full(reason) = error {
        Stop::Fault(Fault::Full(reason.clone()))
    } else {
        Stop::Apart
    }
}

fn run_one(tx: &mut Tx<'_>, command: &mut dyn Command, with_savepoint: bool) -> Result<(), Stop> {
    let conn = tx.conn;
    let save = |sql| {
        if with_savepoint {
            execute(conn, sql).map_err(|error| Stop::Fault(undone(&error)))
        } else {
            Ok(())
        }
    };
    let (before, changes) = (tx.mark(), tx.late.changes(conn));
    save("SAVEPOINT command")?;
    tx.refused = false;
    tx.arrived = false;
    let ran = command.run(tx);
    if ran == Ran::Full {
        let full = Fault::Full("database or disk is full".to_owned());
        return Err(Stop::Fault(full));
    }
    if conn.is_autocommit() {
        // Some errors undo the whole transaction, with the commands before.
        let undone = Fault::Undone("transaction was undone".to_owned());
        return Err(Stop::Fault(undone));
    }
    if tx.late.has_failed() {
        // Which of them is to be refused shows when each is written by itself.
        return Err(Stop::Apart);
    }
    if matches!(ran, Ran::Refused | Ran::Broken) {
        let has_changed = ran == Ran::Broken || tx.late.changes(conn) != changes;
        if !with_savepoint && has_changed {
            return Err(Stop::Apart);
        }
        save("ROLLBACK TO command")?;
        tx.back_to(before);
        tx.arrived = false;
    }
    save("RELEASE command")
}

fn begin(conn: &Connection) -> Result<(), Fault> {
    execute(conn, "BEGIN IMMEDIATE").map_err(|error| undone(&error))
}

fn commit(conn: &Connection) -> Result<(), Fault> {
    execute(conn, "COMMIT").map_err(|error| not_committed(&error))
}

/// Judges a COMMIT that failed: was it a no, or does nobody know?
fn not_committed(error: &rusqlite::Error) -> Fault {
    match class(error) {
        Class::Full | Class::Busy | Class::Constraint => undone(error),
        // The frames may have reached the disk before the error, and a restart believes them.
        Class::Damaged | Class::ReadOnly | Class::Other => Fault::Unknown(error.to_string()),
    }
}

fn undone(error: &rusqlite::Error) -> Fault {
    match class(error) {
        Class::Full => Fault::Full(error.to_string()),
        Class::Busy => Fault::Busy,
        Class::Constraint | Class::Damaged | Class::ReadOnly | Class::Other => {
            Fault::Undone(error.to_string())
        }
    }
}

fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}
