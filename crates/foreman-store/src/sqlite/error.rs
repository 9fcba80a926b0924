//! Why a database could not be opened, and what an SQLite error means for a call.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use crate::StoreError;

/// Why a database could not be opened; each message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another foreman ({who}) owns {}; stop it, or use another database", path.display())]
    Owned {
        /// The database.
        path: PathBuf,
        /// What the other process says about itself.
        who: String,
    },
    /// It lies on a file system on which locks cannot be relied on.
    #[error("{} lies on {kind}, where databases get damaged; use a local disk, or allow network file systems at your own risk", path.display())]
    NetworkFileSystem {
        /// The database.
        path: PathBuf,
        /// The file system.
        kind: String,
    },
    /// Its directory or the file cannot be written.
    #[error("{} cannot be written; give foreman's user write access to it and its directory", path.display())]
    ReadOnly {
        /// What cannot be written.
        path: PathBuf,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file is no database.
    #[error("{} is no database; it was left as it is, move it away or use another path", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is the database of another program.
    #[error("{} is the database of another program (application id {application_id}); use another path", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The mark of that program.
        application_id: i32,
    },
    /// A newer foreman wrote it.
    #[error("{} has schema version {found}, this foreman knows up to {known}; use the newer foreman, or restore a backup", path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// Its pages contradict each other.
    #[error("{} is damaged ({report}); it was left as it is: keep a copy with its -wal file, then restore a backup or recover it with sqlite3's .recover", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What the check found.
        report: String,
    },
    /// It cannot keep a write-ahead log.
    #[error("{} cannot use a write-ahead log (journal mode is {mode}); use a local disk", path.display())]
    NotWal {
        /// The database.
        path: PathBuf,
        /// The mode it is in instead.
        mode: String,
    },
    /// The SQLite library has a known bug that loses data.
    #[error("sqlite {found} can lose data; build foreman with sqlite 3.51.3 or later")]
    OldSqlite {
        /// The library's version.
        found: &'static str,
    },
    /// A file beside the database cannot be used.
    #[error("{doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite refused something else.
    #[error("open database {}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The writer could not be started.
    #[error("start the thread that writes")]
    Thread(#[source] io::Error),
}

/// What can be told apart about an SQLite error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Full,
    Busy,
    Constraint,
    Damaged,
    ReadOnly,
    Other,
}

/// Classifies an SQLite error.
pub(super) fn class(error: &rusqlite::Error) -> Class {
    if matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
    ) {
        return Class::Damaged;
    }
    let code = error.sqlite_error_code();
    let is = |known: ErrorCode| code == Some(known);
    if is(ErrorCode::DiskFull) {
        Class::Full
    } else if is(ErrorCode::DatabaseBusy) || is(ErrorCode::DatabaseLocked) {
        Class::Busy
    } else if is(ErrorCode::ConstraintViolation) {
        Class::Constraint
    } else if is(ErrorCode::DatabaseCorrupt) || is(ErrorCode::NotADatabase) {
        Class::Damaged
    } else if is(ErrorCode::ReadOnly) {
        Class::ReadOnly
    } else {
        Class::Other
    }
}

/// Judges an error of a statement; one of a COMMIT is not judged here.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match class(&error) {
            Class::Full => Self::Full(error.to_string()),
            Class::Busy => Self::Busy,
            Class::Damaged => Self::Damaged(error.to_string()),
            Class::Constraint | Class::ReadOnly | Class::Other => Self::Database(Box::new(error)),
        }
    }
}
