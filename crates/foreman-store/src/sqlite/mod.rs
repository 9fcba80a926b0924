//! A queue in an SQLite database: one writer that commits in groups, and a pool that reads.

mod backup;
mod check;
#[cfg(feature = "fail-points")]
mod commit_hook;
mod config;
mod connection;
mod error;
mod files;
mod migrate;
mod open;
mod own_thread;
mod queries;
mod reader;
mod recent;
mod rows;
mod stats;
mod store;
mod writer;

pub use backup::{Backup, BackupError, Existing, backup};
#[cfg(feature = "fail-points")]
pub use commit_hook::BeforeCommit;
pub use config::{SqliteConfig, Synchronous};
pub use error::OpenError;
pub use files::FreeSpace;
pub use stats::StoreStats;
pub use store::SqliteStore;

/// The note that an owner leaves who closed the database, and the next one takes away.
const CLEAN_STOP: &str = "clean_stop";

/// The note that a database was not clean, and was not checked since.
const UNCHECKED: &str = "unchecked";

#[cfg(test)]
mod tests;
