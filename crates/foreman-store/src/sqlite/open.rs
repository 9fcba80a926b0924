//! Opens a database, or says why not.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::check::{self, Checker};
use super::error::{Class, class};
use super::files::{LockFile, Place};
use super::migrate::{self, APPLICATION_ID, KNOWN_VERSION};
use super::reader::ReadLane;
use super::writer::{Checkpointer, Commands, Disk, Intake, LOG_BOUND, Shared, WriteLane, Writer};
use super::{CLEAN_STOP, OpenError, SqliteConfig, UNCHECKED, connection, queries};

/// The first version without a bug that can lose commits when the log starts anew.
const OLDEST_SQLITE: i32 = 3_051_003;

const FIND_MARK: &str = "\
SELECT 1
FROM notes
WHERE name = ?1";

const REMOVE_NOTE: &str = "\
DELETE FROM notes
WHERE name = ?1";

const ADD_NOTE: &str = "\
INSERT OR IGNORE INTO notes (name, value)
VALUES (?1, x'')";

/// What is known about a database file before anything is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    version: i64,
    /// Whether its last owner closed it.
    clean: bool,
    /// Whether a check of it was put off, and did not come to its end.
    unchecked: bool,
}

/// What [`open`] opens.
pub(super) struct Opened {
    pub(super) writer: Arc<WriteLane>,
    pub(super) reader: ReadLane,
    pub(super) place: Place,
    pub(super) checker: Checker,
}

/// Opens both lanes.
pub(super) fn open(config: &SqliteConfig) -> Result<Opened, OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite {
            found: rusqlite::version(),
        });
    }
    let place = Place::new(&config.path);
    place.prepare(config.allow_network_fs)?;
    let lock = LockFile::take(&place, config)?;
    place.create()?;
    let mut intake = Intake::new(&place, config);
    // Only the death of its owner leaves a log, and always does.
    let lost_log = lock.is_widowed() && !place.wal().exists();
    let (conn, unchecked) = open_database(&place, config, (&mut intake, lost_log))?;
    intake.idle();
    let failed = |error| wrong(&place, error);
    let unread = |source| OpenError::Database {
        path: place.db().to_path_buf(),
        source: Box::new(source),
    };
    let depths = queries::depths(&conn).map_err(unread)?;
    let counts = queries::counts(&conn, depths.queued()).map_err(unread)?;
    let identity = place
        .identity()
        .map_err(|source| failed(rusqlite::Error::ToSqlConversionFailure(Box::new(source))))?;
    let reader = ReadLane::open(&place, config).map_err(|source| OpenError::Database {
        path: place.db().to_path_buf(),
        source: Box::new(source),
    })?;
    let shared = Arc::new(Shared::new(counts, depths.clone()));
    let disk = Disk::open(&place, Arc::clone(&shared)).map_err(OpenError::Thread)?;
    let second = connection::open_checkpointer(&place, config.busy).map_err(failed)?;
    let checkpointer = Checkpointer::start(second).map_err(OpenError::Thread)?;
    let writer = WriteLane::start(Writer {
        disk: Arc::new(disk),
        checkpointer,
        conn,
        intake,
        waiting: Commands::default(),
        depths,
        shared,
        place: place.clone(),
        identity,
        synchronous: config.synchronous,
        idle: config.idle,
        dirty: false,
        log_bound: LOG_BOUND,
        _lock: lock,
    })
    .map_err(OpenError::Thread)?;
    let writer = Arc::new(writer);
    let checker = if unchecked {
        Checker::start(&place, config.busy, &writer).map_err(OpenError::Thread)?
    } else {
        Checker::idle()
    };
    Ok(Opened {
        writer,
        reader,
        place,
        checker,
    })
}

/// Opens it; tells whether it is still to be checked.
fn open_database(
    place: &Place,
    config: &SqliteConfig,
    (intake, lost_log): (&mut Intake, bool),
) -> Result<(Connection, bool), OpenError> {
    let failed = |error| wrong(place, error);
    let mut conn = connection::open_writer(place, config.busy).map_err(failed)?;
    let found = inspect(&conn, place)?;
    if !found.clean && lost_log {
        // That it was at work reached the database, so it had a log. A restored backup has none.
        tracing::error!(
            log = %place.wal().display(),
            "the last foreman was killed and its write-ahead log is gone: unless a backup was \
             restored, its last changes are lost; if you still have that file, stop foreman and \
             start it again from a copy of the database and the log as they were"
        );
    }
    let size = size(place);
    let unchecked = !found.clean && !found.unchecked && size > config.check_first;
    if !found.clean && !unchecked {
        check(&conn, place, size)?;
    }
    let mode = connection::set_layout(&conn).map_err(failed)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(OpenError::NotWal {
            path: place.db().to_path_buf(),
            mode,
        });
    }
    connection::set_writer(&conn, config.max_pages).map_err(failed)?;
    #[cfg(feature = "fail-points")]
    config.before_commit.watch(&conn).map_err(failed)?;
    or_with_reserve(intake, migrate::found_no_room, || {
        migrate::migrate(&mut conn)
    })
    .map_err(|source| OpenError::Database {
        path: place.db().to_path_buf(),
        source: Box::new(source),
    })?;
    let is_full = |error: &_| class(error) == Class::Full;
    or_with_reserve(intake, is_full, || begin(&conn, unchecked)).map_err(failed)?;
    make_room(place, config);
    tracing::info!(
        path = %place.db().display(),
        sqlite = rusqlite::version(),
        schema = KNOWN_VERSION,
        found.schema = found.version,
        found.clean = found.clean,
        "database opened"
    );
    Ok((conn, unchecked))
}

/// Gives the log its room. What is behind the last commit means nothing to SQLite, and before the
/// lanes are there nobody writes.
///
/// Zeros are written: of a range that is only reserved, the first write is as dear as growing. They
/// need not be durable themselves.
fn make_room(place: &Place, config: &SqliteConfig) {
    if let Err(error) = lengthen(place, config) {
        tracing::warn!(%error, "no room for the write-ahead log; it grows as it is needed");
    }
}

fn lengthen(place: &Place, config: &SqliteConfig) -> io::Result<()> {
    let mut log = OpenOptions::new().write(true).open(place.wal())?;
    let before = log.seek(SeekFrom::End(0))?;
    let missing = config.log_room.saturating_sub(before);
    let needed = missing.saturating_add(config.reserve);
    if missing == 0 || config.free_space.of(place.dir()) < needed {
        return Ok(());
    }
    // A file that cannot have all of it has none: it may be the last room that others have.
    let written = io::copy(&mut io::repeat(0).take(missing), &mut log);
    if written.is_err() {
        log.set_len(before)?;
    }
    written.map(|_| ())
}

/// Writes; where the disk is full, once more with the room of the reserve.
fn or_with_reserve<E: Display>(
    intake: &mut Intake,
    is_full: impl FnOnce(&E) -> bool,
    mut write: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let Err(error) = write() else {
        return Ok(());
    };
    if !is_full(&error) {
        return Err(error);
    }
    intake.full(&error.to_string());
    write()
}

/// Tells whose database it is, without writing to it.
fn inspect(conn: &Connection, place: &Place) -> Result<Found, OpenError> {
    let failed = |error| wrong(place, error);
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application_id = number("PRAGMA application_id").map_err(failed)?;
    let version = number("PRAGMA user_version").map_err(failed)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    if application_id == 0 && version == 0 && tables == 0 {
        return Ok(Found {
            version,
            clean: true,
            unchecked: false,
        });
    }
    if application_id != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign {
            path: place.db().to_path_buf(),
            application_id: i32::try_from(application_id).unwrap_or_default(),
        });
    }
    if version > KNOWN_VERSION {
        return Err(OpenError::NewerSchema {
            path: place.db().to_path_buf(),
            found: version,
            known: KNOWN_VERSION,
        });
    }
    let is_noted = |name: &str| {
        let mark = conn.query_row(FIND_MARK, [name], |_| Ok(())).optional();
        mark.map(|mark| mark.is_some()).map_err(failed)
    };
    Ok(Found {
        version,
        clean: is_noted(CLEAN_STOP)?,
        unchecked: is_noted(UNCHECKED)?,
    })
}

/// Looks for damage after a stop that was not clean.
fn check(conn: &Connection, place: &Place, size: u64) -> Result<(), OpenError> {
    match check::at_once(conn, size).map_err(|error| wrong(place, error))? {
        None => Ok(()),
        Some(report) => Err(OpenError::Damaged {
            path: place.db().to_path_buf(),
            report,
        }),
    }
}

fn size(place: &Place) -> u64 {
    std::fs::metadata(place.db()).map_or(0, |meta| meta.len())
}

/// From now on a stop is unclean until it is not, and a database that is not checked yet is so
/// until it is. Where nothing was migrated this is also the first write.
fn begin(conn: &Connection, unchecked: bool) -> rusqlite::Result<()> {
    let transaction = conn.unchecked_transaction()?;
    transaction.execute(REMOVE_NOTE, [CLEAN_STOP])?;
    if unchecked {
        transaction.execute(ADD_NOTE, [UNCHECKED])?;
    } else {
        transaction.execute(REMOVE_NOTE, [UNCHECKED])?;
    }
    transaction.commit()
}

fn wrong(place: &Place, error: rusqlite::Error) -> OpenError {
    let path = place.db().to_path_buf();
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
        return OpenError::NotADatabase { path };
    }
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) {
        return OpenError::ReadOnly {
            path,
            source: Box::new(error),
        };
    }
    match class(&error) {
        Class::Damaged => OpenError::Damaged {
            path,
            report: error.to_string(),
        },
        Class::ReadOnly => OpenError::ReadOnly {
            path,
            source: Box::new(error),
        },
        Class::Full | Class::Busy | Class::Constraint | Class::Other => OpenError::Database {
            path,
            source: Box::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::FreeSpace;

    #[test]
    fn a_full_disk_gives_up_the_reserve_once_and_other_errors_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = dir.path().join("queue.db.reserve");
        let config = SqliteConfig {
            reserve: 0,
            ballast: 8192,
            free_space: FreeSpace::new(|_| Ok(u64::MAX)),
            ..SqliteConfig::new(dir.path().join("queue.db"))
        };
        let mut intake = Intake::new(&Place::new(&config.path), &config);
        intake.idle();
        assert!(reserve.exists());

        let refused = or_with_reserve(&mut intake, |_| false, || Err("damaged"));
        assert_eq!((refused, reserve.exists()), (Err("damaged"), true));

        let mut tries = 0;
        let written = or_with_reserve(
            &mut intake,
            |_| true,
            || {
                tries += 1;
                if reserve.exists() {
                    Err("full")
                } else {
                    Ok(())
                }
            },
        );
        assert_eq!((written, tries), (Ok(()), 2));
    }
}
