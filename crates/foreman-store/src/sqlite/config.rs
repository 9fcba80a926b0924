//! How a [`SqliteStore`](super::SqliteStore) is to be opened.

use std::path::PathBuf;
use std::time::Duration;

use foreman_job::Timestamp;

#[cfg(feature = "fail-points")]
use super::BeforeCommit;
use super::FreeSpace;

/// How a [`SqliteStore`](super::SqliteStore) is to be opened.
///
/// ```
/// use foreman_store::{SqliteConfig, Synchronous};
///
/// let config = SqliteConfig {
///     owner: "listening on 127.0.0.1:11434".to_owned(),
///     synchronous: Synchronous::Normal,
///     ..SqliteConfig::new("/var/lib/foreman/queue.db")
/// };
/// assert_eq!(config.readers, 4);
/// ```
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// The database file; its lock and its reserve lie beside it.
    pub path: PathBuf,
    /// Who opens it, for another process that finds it taken: where this one listens, say.
    pub owner: String,
    /// When it is opened, for the same reader.
    pub opened_at: Option<Timestamp>,
    /// What an answered call survives.
    pub synchronous: Synchronous,
    /// Connections that read; four serve many callers, since no read takes long.
    pub readers: u32,
    /// Room that the write-ahead log has from the start, in bytes: 4 MiB, with which it is worth moving
    /// into the database, and 0 for none. A flush of a file that grows takes half as long again, or
    /// longer, since its new size must be durable, too. Where the disk has not that much beside
    /// the [reserve](Self::reserve), the log grows as it is needed.
    pub log_room: u64,
    /// Memory for jobs that were accepted a moment ago, in bytes: 256 KiB, and 0 for none. A claim
    /// that finds its job and request there does not read them from the file, and so does not find
    /// what is damaged there.
    pub recent_requests: u64,
    /// The intake closes when the disk has less room than this: 256 MiB, so that running jobs end
    /// and the log can be written out.
    pub reserve: u64,
    /// Size of a file that is kept to be given up when the disk is full all the same: 16 MiB; 0
    /// for none.
    pub ballast: u64,
    /// Whether a network or user-space file system will do. Locks and shared memory often do not
    /// work there, and then the database is damaged.
    pub allow_network_fs: bool,
    /// The database may have no more pages (of 4 KiB) than this.
    pub max_pages: Option<u32>,
    /// After a stop that was not clean, a database up to this size is checked before anything is
    /// served from it, and a larger one meanwhile: 32 MiB, since that takes some tenths of a second.
    pub check_first: u64,
    /// How long a call waits for another program that has the database, such as the shell: 5 s.
    pub busy: Duration,
    /// Quiet time after which the writer cleans up: 1 s.
    pub idle: Duration,
    /// Tells how much room the disk has.
    pub free_space: FreeSpace,
    /// Called when nothing but the commit is left to do of a transaction.
    #[cfg(feature = "fail-points")]
    pub before_commit: BeforeCommit,
}

/// What an answered call survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The loss of power: a commit reaches the disk before it is answered.
    #[default]
    Full,
    /// The death of the process only; a loss of power may undo the last commits, in order.
    Normal,
}

impl SqliteConfig {
    /// Takes the path of the database, and the defaults for the rest.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            path: path.into(),
            owner: String::new(),
            opened_at: None,
            synchronous: Synchronous::Full,
            readers: 4,
            log_room: 4 * MIB,
            recent_requests: MIB / 4,
            reserve: 256 * MIB,
            ballast: 16 * MIB,
            allow_network_fs: false,
            max_pages: None,
            check_first: 32 * MIB,
            busy: Duration::from_secs(5),
            idle: Duration::from_secs(1),
            free_space: FreeSpace::default(),
            #[cfg(feature = "fail-points")]
            before_commit: BeforeCommit::default(),
        }
    }
}
