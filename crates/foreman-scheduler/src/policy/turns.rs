//! How long the oldest job has been passed over.

use std::collections::BTreeMap;
use std::time::Duration;

use foreman_job::{Choice, Priority, QueueHeads};

/// When in each class the oldest job was taken last that had waited to the age bound.
///
/// Times are those of a monotonic clock, from any start.
#[derive(Debug, Clone, Default)]
pub struct OldestTurns(BTreeMap<Priority, Duration>);

impl OldestTurns {
    /// Returns for how long none was taken in a class; none when none ever was.
    pub fn passed_over(&self, class: Priority, now: Duration) -> Option<Duration> {
        self.0.get(&class).map(|taken| now.saturating_sub(*taken))
    }

    /// Notes a choice: whether it is the oldest job, and that is past the bound.
    pub fn note(&mut self, heads: &QueueHeads, choice: &Choice, is_aged: bool, now: Duration) {
        if is_aged && choice.seq == heads.oldest.seq {
            self.0.insert(heads.oldest.priority, now);
        }
    }
}
