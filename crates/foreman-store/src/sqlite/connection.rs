//! Connections, and how they are set.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Synchronous;
use super::files::Place;

/// Statements that a connection keeps compiled: more than the program has.
const STATEMENTS: usize = 64;

/// Opens the connection that writes; nothing is read from the file yet.
pub(super) fn open_writer(place: &Place, busy: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(place.db(), flags)?;
    conn.busy_timeout(busy)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Opens a connection that only moves the log into the database.
pub(super) fn open_checkpointer(place: &Place, busy: Duration) -> rusqlite::Result<Connection> {
    let conn = open_writer(place, busy)?;
    conn.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = 16;",
    )?;
    set_flush(&conn)?;
    Ok(conn)
}

/// Sets what must be set before the first table is made; returns the journal mode.
pub(super) fn set_layout(conn: &Connection) -> rusqlite::Result<String> {
    // Without it a purge would never make the file smaller.
    conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
}

/// Sets the rest.
///
/// The log is moved into the database by somebody else (see the writer's checkpointer). A thousand
/// jobs that are accepted together change two megabytes, which must fit into the cache, or they are
/// written before the commit, and again by it.
///
/// No memory map: there an I/O error would be a signal instead of an error.
pub(super) fn set_writer(conn: &Connection, max_pages: Option<u32>) -> rusqlite::Result<()> {
    conn.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -8192;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = FAST;",
    )?;
    set_flush(conn)?;
    if let Some(pages) = max_pages {
        conn.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?;
    }
    Ok(())
}

/// Makes a flush reach the medium.
fn set_flush(conn: &Connection) -> rusqlite::Result<()> {
    if cfg!(target_os = "macos") {
        // There an ordinary fsync leaves the data in the drive's cache.
        conn.execute_batch("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;")?;
    }
    Ok(())
}

/// Sets a connection that only reads.
pub(super) fn set_reader(conn: &Connection, busy: Duration) -> rusqlite::Result<()> {
    conn.busy_timeout(busy)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.execute_batch(
        "PRAGMA query_only = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY;",
    )
}

/// Says whether commits wait for the disk; must not be called within a transaction.
pub(super) fn set_synchronous(conn: &Connection, level: Synchronous) -> rusqlite::Result<()> {
    conn.execute_batch(match level {
        Synchronous::Full => "PRAGMA synchronous = FULL",
        Synchronous::Normal => "PRAGMA synchronous = NORMAL",
    })
}

/// Moves what is in the write-ahead log into the database.
pub(super) fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<()> {
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
}
