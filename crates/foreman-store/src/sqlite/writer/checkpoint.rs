//! Moves the log into the database beside the writer.
//!
//! By itself SQLite does that within the commit that finds the log long: whoever is to be told of
//! that commit waits for two flushes and a thousand pages. Here a second connection does it while
//! the writer goes on. What the writer adds meanwhile is moved the next time; only when the log is
//! much longer than it should be does the writer move the rest itself, so that the log can start
//! anew from its beginning.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::sqlite::connection;
use crate::sqlite::own_thread::OwnThread;

/// Pages of the log that are worth moving: what SQLite takes, too.
const PAGES: u32 = 1000;

/// Pages with which the log is too long: 32 MiB.
const TOO_MANY: u32 = 8192;

thread_local! {
    /// Pages in the log after the last commit of this thread, which has one connection.
    static LOGGED: Cell<u32> = const { Cell::new(0) };
}

/// The thread that moves the log; dropped, it waits for that to end.
#[derive(Debug)]
pub(in crate::sqlite) struct Checkpointer {
    /// None once no more is to be done.
    sender: Option<SyncSender<()>>,
    thread: OwnThread,
    /// With so many pages it is told the next time.
    due: u32,
}

impl Checkpointer {
    /// Starts the thread with a connection of its own.
    pub(in crate::sqlite) fn start(conn: Connection) -> io::Result<Self> {
        let (sender, calls) = mpsc::sync_channel(1);
        let thread = OwnThread::start("foreman-log", move || run(&conn, &calls))?;
        Ok(Self {
            sender: Some(sender),
            thread,
            due: PAGES,
        })
    }

    /// Counts the pages of the log from now on, in place of SQLite's own checkpoints; in the thread
    /// that writes.
    pub(super) fn watch(conn: &Connection) {
        conn.wal_hook(Some(note));
    }

    /// Looks at the length of the log after a commit.
    pub(super) fn look(&mut self, conn: &Connection) {
        let pages = LOGGED.get();
        if pages < self.due.saturating_sub(PAGES) {
            // It has started anew.
            self.due = PAGES;
        }
        if pages < self.due {
            return;
        }
        self.due = pages.saturating_add(PAGES);
        if pages >= TOO_MANY {
            checkpoint(conn);
        } else if let Some(sender) = &self.sender {
            // One that is at it sees what was added before it began.
            let _is_called = sender.try_send(());
        }
    }

    /// Waits for what is being done, and ends the thread.
    pub(super) fn finish(&mut self) {
        drop(self.sender.take());
        self.thread.join();
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Returns how long the log was after the last commit of this thread, in bytes.
pub(super) fn logged() -> u64 {
    /// A page with its header, as SQLite's documentation of the file format has it.
    const FRAME: u64 = 4096 + 24;
    u64::from(LOGGED.get()).saturating_mul(FRAME)
}

#[expect(clippy::unnecessary_wraps, reason = "so is a hook")]
fn note(_: &Wal, pages: i32) -> rusqlite::Result<()> {
    LOGGED.set(u32::try_from(pages).unwrap_or_default());
    Ok(())
}

fn run(conn: &Connection, calls: &Receiver<()>) {
    while calls.recv().is_ok() {
        checkpoint(conn);
    }
}

/// Moves what no reader needs any more where it is.
pub(super) fn checkpoint(conn: &Connection) {
    if let Err(error) = connection::checkpoint(conn, "PASSIVE") {
        // Nothing is lost: it stays in the log.
        tracing::warn!(%error, "write-ahead log cannot be moved into the database");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::sqlite::files::Place;

    /// A database whose log is long enough to be moved.
    fn written(path: &Path, pages: u32) -> Connection {
        let conn = Connection::open(path).unwrap();
        connection::set_layout(&conn).unwrap();
        connection::set_writer(&conn, None).unwrap();
        Checkpointer::watch(&conn);
        conn.execute_batch("CREATE TABLE t (x)").unwrap();
        conn.execute("INSERT INTO t VALUES (zeroblob(?1))", [pages * 4096])
            .unwrap();
        assert!(LOGGED.get() >= pages);
        conn
    }

    fn checkpointer(path: &Path) -> Checkpointer {
        let second = connection::open_checkpointer(&Place::new(path), Duration::ZERO).unwrap();
        Checkpointer::start(second).unwrap()
    }

    #[test]
    fn a_long_log_is_moved_and_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        let conn = written(&path, PAGES);
        assert_eq!(fs::metadata(&path).unwrap().len(), 4096);
        let mut checkpointer = checkpointer(&path);

        checkpointer.look(&conn);
        checkpointer.finish();

        assert!(fs::metadata(&path).unwrap().len() >= u64::from(PAGES) * 4096);
        conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(LOGGED.get() < PAGES);
    }

    #[test]
    fn a_log_that_nobody_else_moves_is_moved_by_the_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        let conn = written(&path, TOO_MANY);
        let mut checkpointer = checkpointer(&path);
        checkpointer.finish();

        checkpointer.look(&conn);

        conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(LOGGED.get() < PAGES);
    }
}
