//! A consistent copy of a database, also while its owner works on it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::migrate::APPLICATION_ID;

/// Prompts are personal, in a copy too.
const PRIVATE: u32 = 0o600;

/// How long the copy waits for its turn; the owner of a database in WAL mode lets readers in.
const BUSY: Duration = Duration::from_secs(30);

/// What a backup is to do about a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it, and fail.
    Keep,
    /// Put the copy in its place, once the copy is whole.
    Replace,
}

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The jobs in it.
    pub jobs: u64,
}

/// Why no copy was made; the database and the file that was there are as they were.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no database to copy.
    #[error("there is no database at {}", path.display())]
    NoDatabase {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is no database of foreman.
    #[error("{} is no database of foreman", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// There is a file already where the copy is to go.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The copy is to go where the database is.
    #[error("{} is the database itself", path.display())]
    Itself {
        /// The file.
        path: PathBuf,
    },
    /// Another backup writes to the same place.
    #[error("another backup is writing {}", path.display())]
    Busy {
        /// Its unfinished file.
        path: PathBuf,
    },
    /// A file cannot be used.
    #[error("{doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// SQLite could not read the database or write the copy.
    #[error("copy {}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Copies a database to `to`, also while a foreman owns it and works on it.
///
/// The copy is what was committed at one moment. It is written to `to` with `.partial` behind its
/// name, readable by its owner only, and gets its own name once it is whole and on the disk: what
/// has that name is always a complete backup. It is a database by itself, without `-wal` and `-shm`
/// files; what ran at that moment runs again when the copy is opened. It blocks for as long as it
/// reads, which keeps the owner's write-ahead log from shrinking meanwhile, and nothing else.
///
/// # Errors
///
/// [`BackupError`]; nothing was changed then, and no unfinished file is left.
///
/// # Examples
///
/// ```
/// use foreman_store::{Existing, QueueStore, SqliteConfig, SqliteStore, backup};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dir = tempfile::tempdir()?;
/// let (live, copy) = (dir.path().join("queue.db"), dir.path().join("copy.db"));
/// let store = SqliteStore::open(&SqliteConfig::new(&live))?;
///
/// let made = backup(&live, &copy, Existing::Keep)?;
///
/// assert_eq!((made.jobs, made.path.as_path()), (0, copy.as_path()));
/// store.close().await?;
/// # Ok(())
/// # }
/// ```
pub fn backup(database: &Path, to: &Path, existing: Existing) -> Result<Backup, BackupError> {
    let conn = open(database)?;
    check_place(database, to, existing)?;
    let partial = Partial::create(to)?;
    let name = partial.path.to_str().ok_or_else(|| {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "the name is not UTF-8");
        unusable("write", &partial.path)(source)
    })?;
    conn.execute("VACUUM INTO ?1", [name])
        .map_err(|source| failed(database, source))?;
    let jobs = count(&partial.path).map_err(|source| failed(database, source))?;
    // Looked at again: another program may have been there meanwhile.
    check_place(database, to, existing)?;
    let bytes = partial.publish(to)?;
    Ok(Backup {
        path: to.to_path_buf(),
        bytes,
        jobs,
    })
}

/// Opens the database for reading, if it is one of ours.
fn open(database: &Path) -> Result<Connection, BackupError> {
    let path = || database.to_path_buf();
    if !database.is_file() {
        return Err(BackupError::NoDatabase { path: path() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(database, flags)
        .and_then(|conn| conn.busy_timeout(BUSY).map(|()| conn))
        .map_err(|source| failed(database, source))?;
    let id = conn.query_row("PRAGMA application_id", [], |row| row.get::<_, i32>(0));
    match id {
        Ok(APPLICATION_ID) => Ok(conn),
        Ok(_) => Err(BackupError::Foreign { path: path() }),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(BackupError::Foreign { path: path() })
        }
        Err(source) => Err(failed(database, source)),
    }
}

fn check_place(database: &Path, to: &Path, existing: Existing) -> Result<(), BackupError> {
    let path = || to.to_path_buf();
    let there = match fs::metadata(to) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(unusable("look for", to)(source)),
    };
    let own = fs::metadata(database).map_err(unusable("look for", database))?;
    if (there.dev(), there.ino()) == (own.dev(), own.ino()) {
        return Err(BackupError::Itself { path: path() });
    }
    match existing {
        Existing::Keep => Err(BackupError::Exists { path: path() }),
        Existing::Replace => Ok(()),
    }
}

fn count(copy: &Path) -> rusqlite::Result<u64> {
    let conn = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let jobs: i64 = conn.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))?;
    Ok(u64::try_from(jobs).unwrap_or_default())
}

/// The unfinished copy; taken away when it is dropped unfinished.
struct Partial {
    path: PathBuf,
    /// Open and locked until the end: SQLite's own locks on the copy would go with a descriptor
    /// that is closed earlier.
    file: File,
    published: bool,
}

impl Partial {
    /// Makes the file, private before there is anything in it.
    fn create(to: &Path) -> Result<Self, BackupError> {
        let mut name = OsString::from(to);
        name.push(".partial");
        let path = PathBuf::from(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(&path)
            .map_err(unusable("create", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy { path }),
            Err(TryLockError::Error(source)) => return Err(unusable("lock", &path)(source)),
        }
        // One that was left behind by a backup that was killed is written anew.
        file.set_len(0)
            .and_then(|()| file.set_permissions(Permissions::from_mode(PRIVATE)))
            .map_err(unusable("empty", &path))?;
        Ok(Self {
            path,
            file,
            published: false,
        })
    }

    /// Gives the copy its name; returns its size.
    fn publish(mut self, to: &Path) -> Result<u64, BackupError> {
        let path = &self.path;
        self.file.sync_all().map_err(unusable("sync", path))?;
        let bytes = self
            .file
            .metadata()
            .map_err(unusable("look at", path))?
            .len();
        fs::rename(path, to).map_err(unusable("rename", path))?;
        self.published = true;
        let dir = match to.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            Some(_) | None => Path::new("."),
        };
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(unusable("sync", dir))?;
        Ok(bytes)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            // Why it is unfinished is told already.
            let _removed = fs::remove_file(&self.path);
        }
    }
}

fn unusable(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_path_buf();
    move |source| BackupError::File {
        doing,
        path,
        source,
    }
}

fn failed(database: &Path, source: rusqlite::Error) -> BackupError {
    BackupError::Database {
        path: database.to_path_buf(),
        source: Box::new(source),
    }
}
