//! What comes into the queue and leaves it.

use std::sync::Arc;

use foreman_job::{Job, Timestamp};

use super::Group;
use crate::NewJob;

/// A job in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) seq: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}

/// A job of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) spot: Spot,
    /// Whether it may be claimed; else it rests, and stands in no line.
    pub(crate) is_ready: bool,
}

/// A change of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// A job came.
    In(Arc<Group>, Member),
    /// A job left; the first of those that stay ready in its line, where the one that left may have
    /// been it.
    Out(Arc<Group>, Member, Option<Spot>),
    /// So many jobs rest no more, of which this is the first.
    Woken(Arc<Group>, u64, Spot),
}

impl Spot {
    /// Tells whether the job must not be started any more.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl Member {
    /// Describes a job that is queued.
    pub(crate) const fn of(job: &Job) -> Self {
        Self {
            spot: Spot {
                seq: job.seq,
                created_at: job.created_at,
                expires_at: job.expires_at,
            },
            is_ready: job.progress.retry_at.is_none(),
        }
    }

    /// Describes a job that was accepted just now.
    pub(crate) fn of_new(job: &NewJob, seq: i64) -> Self {
        Self {
            spot: Spot {
                seq,
                created_at: job.created_at,
                expires_at: job.expires_at,
            },
            is_ready: job.rests_until().is_none(),
        }
    }
}
