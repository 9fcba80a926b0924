//! What the writer has done so far.

use std::time::Duration;

/// What the writer has done since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreStats {
    /// Transactions committed.
    pub commits: u64,
    /// Those of them that waited for the disk.
    pub synced_commits: u64,
    /// Commands answered by them: divided by `commits`, the mean group.
    pub commands: u64,
    /// The largest group.
    pub largest_group: u64,
    /// Time spent in transactions, from the first statement to the end of the commit.
    pub commit_time: Duration,
    /// The same, of the last one.
    pub last_commit_time: Duration,
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
}
