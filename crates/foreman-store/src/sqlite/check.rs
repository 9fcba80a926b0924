//! Looks for damage after a stop that was not clean.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

use super::error::{Class, class};
use super::files::Place;
use super::own_thread::OwnThread;
use super::writer::{DURABLE, Shared, WriteLane};
use super::{UNCHECKED, connection, queries};

/// Up to this size indexes are compared with their tables, too, where somebody waits for it: it
/// doubles the time.
const THOROUGH: u64 = 256 * 1024 * 1024;

/// After so many steps it is seen whether the check is to end.
const STEPS: i32 = 100_000;

const TABLES: &str = "\
SELECT name
FROM sqlite_schema
WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";

/// Checks a database before anything is served from it; returns what is wrong.
pub(super) fn at_once(conn: &Connection, size: u64) -> rusqlite::Result<Option<String>> {
    tracing::info!("the last stop was not clean, database is checked");
    let pragma = if size <= THOROUGH {
        "PRAGMA integrity_check(1)"
    } else {
        "PRAGMA quick_check(1)"
    };
    report(conn, pragma)
}

/// Checks a database while it is served from.
///
/// That it was not checked yet is noted in it: where foreman is killed before the end of the check,
/// the next one checks before it serves.
#[derive(Debug)]
pub(super) struct Checker {
    stop: Arc<AtomicBool>,
    ended: watch::Receiver<bool>,
    thread: OwnThread,
}

impl Checker {
    /// Has nothing to do.
    pub(super) fn idle() -> Self {
        Self {
            stop: Arc::default(),
            ended: watch::Sender::new(true).subscribe(),
            thread: OwnThread::default(),
        }
    }

    /// Starts the check; what it finds ends all writing.
    pub(super) fn start(
        place: &Place,
        busy: Duration,
        writer: &Arc<WriteLane>,
    ) -> io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let (ending, ended) = watch::channel(false);
        let check = Check {
            place: place.clone(),
            busy,
            stop: Arc::clone(&stop),
            writer: Arc::clone(writer),
        };
        let thread = OwnThread::start("foreman-check", move || {
            check.run();
            ending.send_replace(true);
        })?;
        Ok(Self {
            stop,
            ended,
            thread,
        })
    }

    /// Waits for the end of the check.
    pub(super) async fn ended(&self) {
        // A thread that panicked has ended, too.
        let mut ended = self.ended.clone();
        let _gone = ended.wait_for(|ended| *ended).await;
    }

    /// Ends the check where it is; the next owner begins it anew.
    pub(super) async fn end(&self) {
        self.stop.store(true, Ordering::Release);
        self.ended().await;
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.join();
    }
}

/// One check.
struct Check {
    place: Place,
    busy: Duration,
    stop: Arc<AtomicBool>,
    writer: Arc<WriteLane>,
}

impl Check {
    fn run(&self) {
        tracing::info!("the last stop was not clean, database is checked meanwhile");
        match self.look() {
            Ok(None) => self.note(),
            Ok(Some(report)) => self.fail(&report),
            Err(error) if class(&error) == Class::Damaged => self.fail(&error.to_string()),
            Err(_) if self.is_stopped() => {}
            Err(error) => {
                tracing::warn!(%error, "database cannot be checked; the next start will try again");
            }
        }
    }

    /// Compares each table with its indexes; one after the other, so that no snapshot is kept for
    /// long. Returns what is wrong.
    fn look(&self) -> rusqlite::Result<Option<String>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(self.place.db(), flags)?;
        connection::set_reader(&conn, self.busy)?;
        let stop = Arc::clone(&self.stop);
        conn.progress_handler(STEPS, Some(move || stop.load(Ordering::Acquire)))?;
        let mut statement = conn.prepare(TABLES)?;
        let tables = statement.query_map([], |row| row.get::<_, String>(0))?;
        let tables: Vec<String> = tables.collect::<rusqlite::Result<_>>()?;
        for table in tables {
            let found = report(&conn, &format!("PRAGMA integrity_check('{table}')"))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Takes away the note that says that it was not checked.
    fn note(&self) {
        let removing = self
            .writer
            .call(DURABLE, |tx| queries::remove_note(tx.conn()?, UNCHECKED));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let removed = match runtime {
            Ok(runtime) => runtime.block_on(removing).map_err(|it| it.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match removed {
            Ok(()) => tracing::info!("database is not damaged"),
            Err(error) => tracing::debug!(error, "the next start will check the database again"),
        }
    }

    fn fail(&self, report: &str) {
        let shared: &Shared = self.writer.shared();
        shared.fail(&format!(
            "{} is damaged ({report}): keep a copy with its -wal file, then restore a backup or \
             recover it with sqlite3's .recover",
            self.place.db().display()
        ));
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Runs a check; none when all is well.
fn report(conn: &Connection, pragma: &str) -> rusqlite::Result<Option<String>> {
    let report: String = conn.query_row(pragma, [], |row| row.get(0))?;
    Ok((report != "ok").then_some(report))
}
