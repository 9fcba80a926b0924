//! The names of the points.

use std::fmt;
use std::str::FromStr;

/// A change of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A request becomes a job.
    Accept,
    /// A job is claimed.
    Claim,
    /// The first byte of an answer is noted.
    Start,
    /// A part of a job's log is kept.
    Chunk,
    /// A job ends.
    Settle,
    /// A job goes back to the queue.
    Requeue,
    /// A job is cancelled, or the wish is noted.
    Cancel,
    /// What has outlived its retention is forgotten.
    Prune,
    /// Jobs whose rest is over become ready.
    Promote,
}

/// A moment in which the process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A request was read and found good; nothing is written of it.
    AfterReadBody,
    /// All is written of a change but its commit.
    Before(Step),
    /// A change is durable, and nobody knows of it.
    After(Step),
    /// A job is claimed, and the target has seen nothing of it.
    BeforeConnect,
    /// The first chunk of an answer was handed on, and more has come.
    AfterFirstChunk,
    /// The last chunk of an answer has come, and was not looked at.
    BeforeLastChunk,
    /// The database is open, and nothing of the last life is settled.
    BeforeRecovery,
    /// What the last life left is settled, but not committed.
    InRecovery,
    /// What the last life left is settled, and nobody listens.
    AfterRecovery,
    /// The schema is written, but not committed.
    BeforeMigrate,
    /// The schema is there.
    AfterMigrate,
}

/// There is no point of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no fail point {0:?}")]
pub struct NoSuchPoint(pub(super) String);

const NAMES: [(Point, &str); 27] = [
    (Point::Before(Step::Accept), "before_accept"),
    (Point::After(Step::Accept), "after_accept"),
    (Point::Before(Step::Claim), "before_claim"),
    (Point::After(Step::Claim), "after_claim"),
    (Point::Before(Step::Start), "before_start"),
    (Point::After(Step::Start), "after_start"),
    (Point::Before(Step::Chunk), "before_chunk"),
    (Point::After(Step::Chunk), "after_chunk"),
    (Point::Before(Step::Settle), "before_settle"),
    (Point::After(Step::Settle), "after_settle"),
    (Point::Before(Step::Requeue), "before_requeue"),
    (Point::After(Step::Requeue), "after_requeue"),
    (Point::Before(Step::Cancel), "before_cancel"),
    (Point::After(Step::Cancel), "after_cancel"),
    (Point::Before(Step::Prune), "before_prune"),
    (Point::After(Step::Prune), "after_prune"),
    (Point::Before(Step::Promote), "before_promote"),
    (Point::After(Step::Promote), "after_promote"),
    (Point::AfterReadBody, "after_read_body"),
    (Point::BeforeConnect, "before_connect"),
    (Point::AfterFirstChunk, "after_first_chunk"),
    (Point::BeforeLastChunk, "before_last_chunk"),
    (Point::BeforeRecovery, "in_recovery_1"),
    (Point::InRecovery, "in_recovery_2"),
    (Point::AfterRecovery, "in_recovery_3"),
    (Point::BeforeMigrate, "before_migrate"),
    (Point::AfterMigrate, "after_migrate"),
];

impl Point {
    /// Returns all points.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(point, _)| point)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMES.iter().find(|(point, _)| point == self);
        f.write_str(named.map_or("", |(_, name)| name))
    }
}

impl FromStr for Point {
    type Err = NoSuchPoint;

    fn from_str(text: &str) -> Result<Self, NoSuchPoint> {
        let named = NAMES.into_iter().find(|(_, name)| *name == text);
        named.map_or_else(|| Err(NoSuchPoint(text.to_owned())), |(point, _)| Ok(point))
    }
}
