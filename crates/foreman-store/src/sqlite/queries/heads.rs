//! The heads of the ready queue: known without a look at the table, unless one has expired.

use std::sync::Arc;

use foreman_job::{HeadJob, Priority, QueueHeads, RunnerKey, Timestamp};
use rusqlite::Connection;

use super::line;
use crate::depth::{Depths, Group, Head, Sight, Spot, older};
use crate::{ClaimRequest, StoreError};

/// Finds the heads; none when no job may be claimed.
pub(super) fn heads(
    conn: &Connection,
    depths: &Depths,
    wish: &ClaimRequest,
) -> Result<Option<QueueHeads>, StoreError> {
    let now = Some(wish.now);
    known_heads(depths, (wish, &[]), |group| line::first(conn, group, now))
}

/// The same, as if some jobs were not there, and with another way to find the first job of a line
/// that has not expired.
pub(in crate::sqlite) fn known_heads<E>(
    depths: &Depths,
    (wish, passed): (&ClaimRequest, &[i64]),
    find: impl Fn(&Arc<Group>) -> Result<Option<Spot>, E>,
) -> Result<Option<QueueHeads>, E> {
    let now = wish.now;
    let look = Look {
        depths,
        wish,
        sight: Sight { now, passed },
        find,
    };
    let Some(oldest) = look.oldest()? else {
        return Ok(None);
    };
    let class = oldest.priority;
    let mut resident = Vec::with_capacity(wish.resident.len());
    for runner in &wish.resident {
        if !wish.is_paused(runner) {
            resident.extend(look.of_runner(runner, class)?);
        }
    }
    let drain = resident.first().unwrap_or(&oldest);
    let is_aged = wish
        .aged_before
        .is_some_and(|before| oldest.created_at <= before);
    Ok(Some(QueueHeads {
        callers: look.callers_of(&drain.runner, class)?,
        aged: if is_aged {
            look.aged(class)?
        } else {
            Vec::new()
        },
        most_used: look.most_used(class),
        overtaken: look.overtaken(class)?,
        oldest,
        resident,
    }))
}

/// One look at the queue.
struct Look<'a, F> {
    depths: &'a Depths,
    wish: &'a ClaimRequest,
    sight: Sight<'a>,
    /// Looks for the first job of a line that has not expired, where the first of all has.
    find: F,
}

impl<E, F: Fn(&Arc<Group>) -> Result<Option<Spot>, E>> Look<'_, F> {
    /// Finds the oldest of the best class beside paused runners.
    fn oldest(&self) -> Result<Option<HeadJob>, E> {
        for class in Priority::ALL {
            let oldest = self.of_class(class, |runner| !self.wish.is_paused(runner))?;
            if let Some(oldest) = oldest {
                return Ok(Some(self.job(oldest)));
            }
        }
        Ok(None)
    }

    /// Finds the oldest of a class among some runners.
    fn of_class(
        &self,
        class: Priority,
        is_wanted: impl Fn(&RunnerKey) -> bool,
    ) -> Result<Option<Head<'_>>, E> {
        let mut oldest = None;
        for (key, runner) in self.depths.runners(class) {
            if is_wanted(key) {
                let first = runner.first(self.sight, &mut |group| (self.find)(group))?;
                oldest = older(oldest, first);
            }
        }
        Ok(oldest)
    }

    fn of_runner(&self, runner: &RunnerKey, class: Priority) -> Result<Option<HeadJob>, E> {
        let Some(runner) = self.depths.runner(class, runner) else {
            return Ok(None);
        };
        let first = runner.first(self.sight, &mut |group| (self.find)(group))?;
        Ok(first.map(|first| self.job(first)))
    }

    /// Finds the heads of the callers that have used least, among those of a runner.
    fn callers_of(&self, key: &RunnerKey, class: Priority) -> Result<Vec<HeadJob>, E> {
        let Some(runner) = self.depths.runner(class, key) else {
            return Ok(Vec::new());
        };
        self.least(runner.names(), |caller| {
            runner.first_of(caller, self.sight, &mut |group| (self.find)(group))
        })
    }

    /// Finds the oldest jobs of the callers that have used least, among those whose oldest job is
    /// past the age bound.
    fn aged(&self, class: Priority) -> Result<Vec<HeadJob>, E> {
        let before = self.wish.aged_before;
        let now = self.wish.now;
        self.least(self.depths.callers(class), |caller| {
            let mut oldest = None;
            for (key, runner) in self.depths.runners(class) {
                if !self.wish.is_paused(key) {
                    let first =
                        runner.first_of(caller, self.sight, &mut |group| (self.find)(group))?;
                    oldest = older(oldest, first);
                }
            }
            Ok(oldest.filter(|head: &Head<'_>| {
                let accepted = HeadJob::accepted(head.spot.created_at, now);
                before.is_some_and(|before| accepted <= before)
            }))
        })
    }

    /// Looks at callers until those that follow have used more.
    fn least<'c, 'h>(
        &self,
        callers: impl Iterator<Item = &'c Option<String>>,
        look: impl Fn(&'c Option<String>) -> Result<Option<Head<'h>>, E>,
    ) -> Result<Vec<HeadJob>, E> {
        let mut heads = Vec::new();
        let mut least = f64::INFINITY;
        for (used, caller) in self.by_use(callers) {
            if used > least {
                break;
            }
            if let Some(head) = look(caller)? {
                least = used;
                heads.push(self.job(head));
            }
        }
        Ok(heads)
    }

    fn by_use<'c>(
        &self,
        callers: impl Iterator<Item = &'c Option<String>>,
    ) -> Vec<(f64, &'c Option<String>)> {
        let mut ranked: Vec<_> = callers
            .map(|caller| ((self.wish.used)(caller.as_deref()), caller))
            .collect();
        // Stable: of those that have used as much, the order is that of their names.
        ranked.sort_by(|left, right| left.0.total_cmp(&right.0));
        ranked
    }

    fn most_used(&self, class: Priority) -> f64 {
        let callers = self.depths.callers(class);
        callers
            .map(|caller| (self.wish.used)(caller.as_deref()))
            .fold(0.0, f64::max)
    }

    /// Finds the place of the oldest ready job of the lower classes.
    fn overtaken(&self, class: Priority) -> Result<Option<i64>, E> {
        let mut oldest = None;
        for lower in Priority::ALL.into_iter().filter(|it| *it > class) {
            let head = self.of_class(lower, |_| true)?;
            let open = head.filter(|head| !self.wish.is_paused(&head.group.runner));
            oldest = older(oldest, open);
        }
        Ok(oldest.map(|head| head.spot.seq))
    }

    fn job(&self, head: Head<'_>) -> HeadJob {
        head.to_job(self.now())
    }

    const fn now(&self) -> Timestamp {
        self.wish.now
    }
}
