//! Opens a database, or says why not.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use super::error::{Class, class};
use super::files::{LockFile, Place};
use super::migrate::{self, APPLICATION_ID, KNOWN_VERSION};
use super::reader::ReadLane;
use super::writer::{Intake, LOG_BOUND, Shared, Syncer, WriteLane, Writer};
use super::{CLEAN_STOP, OpenError, SqliteConfig, connection, queries};

/// The first version without a bug that can lose commits when the log starts anew.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Up to this size indexes are compared with their tables, too: it doubles the time, to tenths of a
/// second.
const THOROUGH: u64 = 256 * 1024 * 1024;

const FIND_MARK: &str = "\
SELECT 1
FROM notes
WHERE name = ?1";

const REMOVE_MARK: &str = "\
DELETE FROM notes
WHERE name = ?1";

/// What is known about a database file before anything is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    version: i64,
    /// Whether its last owner closed it.
    clean: bool,
}

/// Opens both lanes.
pub(super) fn open(config: &SqliteConfig) -> Result<(WriteLane, ReadLane, Place), OpenError> {
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
    let conn = open_database(&place, config, (&mut intake, lost_log))?;
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
    let syncer = Syncer::start(&place, Arc::clone(&shared)).map_err(OpenError::Thread)?;
    let writer = WriteLane::start(Writer {
        syncer,
        conn,
        intake,
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
    Ok((writer, reader, place))
}

fn open_database(
    place: &Place,
    config: &SqliteConfig,
    (intake, lost_log): (&mut Intake, bool),
) -> Result<Connection, OpenError> {
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
    if !found.clean {
        check(&conn, place)?;
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
    migrate::migrate(&mut conn, place)?;
    if let Err(error) = remove_mark(&conn) {
        if class(&error) != Class::Full {
            return Err(failed(error));
        }
        intake.full(&error.to_string());
        remove_mark(&conn).map_err(failed)?;
    }
    tracing::info!(
        path = %place.db().display(),
        sqlite = rusqlite::version(),
        schema = KNOWN_VERSION,
        found.schema = found.version,
        found.clean = found.clean,
        "database opened"
    );
    Ok(conn)
}

/// Tells whose database it is, without writing to it.
fn inspect(conn: &Connection, place: &Place) -> Result<Found, OpenError> {
    let failed = |error| wrong(place, error);
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application_id = number("PRAGMA application_id").map_err(failed)?;
    let version = number("PRAGMA user_version").map_err(failed)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    if application_id == 0 && version == 0 && tables == 0 {
        let clean = true;
        return Ok(Found { version, clean });
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
    let mark = conn
        .query_row(FIND_MARK, [CLEAN_STOP], |_| Ok(()))
        .optional()
        .map_err(failed)?;
    Ok(Found {
        version,
        clean: mark.is_some(),
    })
}

/// Looks for damage after a stop that was not clean.
fn check(conn: &Connection, place: &Place) -> Result<(), OpenError> {
    tracing::info!("the last stop was not clean, database is checked");
    let size = std::fs::metadata(place.db()).map_or(0, |meta| meta.len());
    let pragma = if size <= THOROUGH {
        "PRAGMA integrity_check(1)"
    } else {
        "PRAGMA quick_check(1)"
    };
    let report: String = conn
        .query_row(pragma, [], |row| row.get(0))
        .map_err(|error| wrong(place, error))?;
    if report == "ok" {
        Ok(())
    } else {
        Err(OpenError::Damaged {
            path: place.db().to_path_buf(),
            report,
        })
    }
}

/// From now on a stop is unclean until it is not. This is also the first write.
fn remove_mark(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute(REMOVE_MARK, [CLEAN_STOP])?;
    Ok(())
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
