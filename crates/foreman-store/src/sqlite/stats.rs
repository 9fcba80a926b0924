//! What the writer has done so far.

use std::time::Duration;

use super::Synchronous;

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
    /// Groups by their size: up to each of [`GROUP_BOUNDS`](Self::GROUP_BOUNDS), then larger ones.
    pub groups: [u64; 10],
    /// Time spent in transactions, from the first statement to the end of the commit.
    pub commit_time: Duration,
    /// The same, of the last one.
    pub last_commit_time: Duration,
    /// Transactions by their time: up to each of [`COMMIT_BOUNDS`](Self::COMMIT_BOUNDS), then
    /// longer ones.
    pub commit_times: [u64; 12],
    /// Size of the write-ahead log.
    pub wal_bytes: u64,
}

impl StoreStats {
    /// From a group of one to the largest there is.
    pub const GROUP_BOUNDS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

    /// From a disk that does not wait for its medium to one that is ill.
    pub const COMMIT_BOUNDS: [Duration; 11] = [
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(250),
        Duration::from_secs(1),
    ];

    /// Counts a transaction that was committed.
    pub(super) fn committed(&mut self, group: usize, level: Synchronous, took: Duration) {
        let group = u64::try_from(group).unwrap_or(u64::MAX);
        self.commits = self.commits.saturating_add(1);
        if level == Synchronous::Full {
            self.synced_commits = self.synced_commits.saturating_add(1);
        }
        self.commands = self.commands.saturating_add(group);
        self.largest_group = self.largest_group.max(group);
        count(&mut self.groups, &Self::GROUP_BOUNDS, &group);
        self.commit_time = self.commit_time.saturating_add(took);
        self.last_commit_time = took;
        count(&mut self.commit_times, &Self::COMMIT_BOUNDS, &took);
    }
}

/// Counts a value in the first bucket that takes it; the last one takes all.
fn count<T: PartialOrd>(buckets: &mut [u64], bounds: &[T], value: &T) {
    let at = bounds.iter().position(|bound| value <= bound);
    if let Some(bucket) = buckets.get_mut(at.unwrap_or(bounds.len())) {
        *bucket = bucket.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transaction_is_in_one_bucket_of_each_kind() {
        let mut stats = StoreStats::default();

        stats.committed(1, Synchronous::Full, Duration::from_micros(250));
        stats.committed(3, Synchronous::Normal, Duration::from_micros(251));
        stats.committed(1_000, Synchronous::Full, Duration::from_mins(1));

        assert_eq!((stats.commits, stats.synced_commits), (3, 2));
        assert_eq!((stats.commands, stats.largest_group), (1_004, 1_000));
        assert_eq!(stats.groups, [1, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(stats.commit_times, [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
