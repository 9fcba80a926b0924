//! Reads the heads of the ready queue: a few index probes, whatever its length.

use foreman_job::{HeadJob, Priority, QueueHeads, RunnerKey, Timestamp};
use rusqlite::{Connection, OptionalExtension, Params, Row, named_params};

use crate::depth::Depths;
use crate::sqlite::rows;
use crate::{ClaimRequest, StoreError};

// The conditions are spelled as in the partial indexes, or SQLite would not use them. What has
// expired since the last look at the clock is passed over, and failed at the next one.
pub(super) const OLDEST: &str = "\
SELECT seq, priority, runner, caller, created_at
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
ORDER BY priority, seq
LIMIT 1";

pub(super) const OF_CLASS: &str = "\
SELECT seq, priority, runner, caller, created_at
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
  AND priority = :priority
ORDER BY seq
LIMIT 1";

pub(super) const OF_RUNNER: &str = "\
SELECT seq, priority, runner, caller, created_at
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
  AND runner = :runner AND priority = :priority
ORDER BY seq
LIMIT 1";

/// The same of one caller. Those without a name are one.
pub(super) const OF_RUNNER_AND_CALLER: &str = "\
SELECT seq, priority, runner, caller, created_at
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
  AND runner = :runner AND priority = :priority AND caller IS :caller
ORDER BY seq
LIMIT 1";

pub(super) const OF_CLASS_AND_CALLER: &str = "\
SELECT seq, priority, runner, caller, created_at
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
  AND priority = :priority AND caller IS :caller
ORDER BY seq
LIMIT 1";

pub(super) const NEXT_RUNNER: &str = "\
SELECT runner
FROM jobs
WHERE state = 'queued' AND retry_at IS NULL AND runner > :runner
ORDER BY runner
LIMIT 1";

/// Reads the heads; none when no job may be claimed.
///
/// `depths` names the runners and callers that jobs wait for, so that none need be looked for.
pub(super) fn heads(
    conn: &Connection,
    depths: &Depths,
    wish: &ClaimRequest,
) -> Result<Option<QueueHeads>, StoreError> {
    let look = Look { conn, depths, wish };
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

/// Finds all runners that ready jobs need, in the order of their keys.
pub(super) fn runners(conn: &Connection) -> Result<Vec<RunnerKey>, StoreError> {
    let mut statement = conn.prepare_cached(NEXT_RUNNER)?;
    let mut runners = Vec::new();
    let mut last = String::new();
    loop {
        let next = statement
            .query_row(named_params! {":runner": last}, |row| row.get(0))
            .optional()?;
        let Some(next) = next else {
            return Ok(runners);
        };
        last = next;
        runners.push(RunnerKey::from_stored(last.clone()));
    }
}

/// Reads the oldest ready job of a class and a runner.
pub(super) fn of_runner(
    conn: &Connection,
    runner: &RunnerKey,
    class: Priority,
    now: Timestamp,
) -> Result<Option<HeadJob>, StoreError> {
    let params = named_params! {
        ":now": now.as_millis(),
        ":runner": runner.as_str(),
        ":priority": class.rank(),
    };
    one(conn, OF_RUNNER, params, now)
}

/// One look at the queue.
struct Look<'a> {
    conn: &'a Connection,
    depths: &'a Depths,
    wish: &'a ClaimRequest,
}

impl Look<'_> {
    fn oldest(&self) -> Result<Option<HeadJob>, StoreError> {
        let params = named_params! {":now": self.now()};
        let oldest = one(self.conn, OLDEST, params, self.wish.now)?;
        match oldest {
            Some(head) if self.wish.is_paused(&head.runner) => self.oldest_open(),
            oldest => Ok(oldest),
        }
    }

    /// Reads the oldest of the best class beside paused runners: a probe for each other runner.
    fn oldest_open(&self) -> Result<Option<HeadJob>, StoreError> {
        for class in Priority::ALL {
            let mut oldest: Option<HeadJob> = None;
            for runner in self.open(class) {
                oldest = older(oldest, self.of_runner(runner, class)?);
            }
            if oldest.is_some() {
                return Ok(oldest);
            }
        }
        Ok(None)
    }

    /// Names the runners of a class that are not paused.
    fn open(&self, class: Priority) -> impl Iterator<Item = &RunnerKey> {
        let runners = self.depths.runners(class);
        runners.filter(|runner| !self.wish.is_paused(runner))
    }

    fn of_runner(
        &self,
        runner: &RunnerKey,
        class: Priority,
    ) -> Result<Option<HeadJob>, StoreError> {
        of_runner(self.conn, runner, class, self.wish.now)
    }

    /// Reads the heads of the callers that have used least, among those of a runner.
    fn callers_of(&self, runner: &RunnerKey, class: Priority) -> Result<Vec<HeadJob>, StoreError> {
        self.least(self.depths.callers_of(class, runner), |caller| {
            self.of_runner_and_caller(runner, class, caller)
        })
    }

    /// Reads the oldest jobs of the callers that have used least, among those whose oldest job is
    /// past the age bound.
    fn aged(&self, class: Priority) -> Result<Vec<HeadJob>, StoreError> {
        let before = self.wish.aged_before;
        self.least(self.depths.callers(class), |caller| {
            let head = self.of_class_and_caller(class, caller)?;
            Ok(head.filter(|head| before.is_some_and(|before| head.created_at <= before)))
        })
    }

    /// Reads heads until the callers that follow have used more.
    fn least(
        &self,
        callers: Vec<Option<&str>>,
        read: impl Fn(Option<&str>) -> Result<Option<HeadJob>, StoreError>,
    ) -> Result<Vec<HeadJob>, StoreError> {
        let mut heads = Vec::new();
        let mut least = f64::INFINITY;
        for (used, caller) in self.by_use(callers) {
            if used > least {
                break;
            }
            if let Some(head) = read(caller)? {
                least = used;
                heads.push(head);
            }
        }
        Ok(heads)
    }

    fn by_use<'c>(&self, callers: Vec<Option<&'c str>>) -> Vec<(f64, Option<&'c str>)> {
        let mut ranked: Vec<_> = callers
            .into_iter()
            .map(|caller| ((self.wish.used)(caller), caller))
            .collect();
        // Stable: of those that have used as much, the order is that of their names.
        ranked.sort_by(|left, right| left.0.total_cmp(&right.0));
        ranked
    }

    fn most_used(&self, class: Priority) -> f64 {
        let callers = self.depths.callers(class).into_iter();
        callers
            .map(|caller| (self.wish.used)(caller))
            .fold(0.0, f64::max)
    }

    fn of_runner_and_caller(
        &self,
        runner: &RunnerKey,
        class: Priority,
        caller: Option<&str>,
    ) -> Result<Option<HeadJob>, StoreError> {
        let params = named_params! {
            ":now": self.now(),
            ":runner": runner.as_str(),
            ":priority": class.rank(),
            ":caller": caller,
        };
        one(self.conn, OF_RUNNER_AND_CALLER, params, self.wish.now)
    }

    /// Reads the oldest job of a caller that is not for a paused runner.
    fn of_class_and_caller(
        &self,
        class: Priority,
        caller: Option<&str>,
    ) -> Result<Option<HeadJob>, StoreError> {
        let params = named_params! {
            ":now": self.now(),
            ":priority": class.rank(),
            ":caller": caller,
        };
        let head = one(self.conn, OF_CLASS_AND_CALLER, params, self.wish.now)?;
        if head
            .as_ref()
            .is_none_or(|head| !self.wish.is_paused(&head.runner))
        {
            return Ok(head);
        }
        let mut oldest = None;
        for runner in self.open(class) {
            oldest = older(oldest, self.of_runner_and_caller(runner, class, caller)?);
        }
        Ok(oldest)
    }

    /// Reads the place of the oldest ready job of the lower classes.
    fn overtaken(&self, class: Priority) -> Result<Option<i64>, StoreError> {
        let mut oldest = None;
        for lower in Priority::ALL.into_iter().filter(|it| *it > class) {
            let params = named_params! {":now": self.now(), ":priority": lower.rank()};
            let head = one(self.conn, OF_CLASS, params, self.wish.now)?;
            oldest = older(
                oldest,
                head.filter(|head| !self.wish.is_paused(&head.runner)),
            );
        }
        Ok(oldest.map(|head: HeadJob| head.seq))
    }

    const fn now(&self) -> i64 {
        self.wish.now.as_millis()
    }
}

fn older(left: Option<HeadJob>, right: Option<HeadJob>) -> Option<HeadJob> {
    left.into_iter().chain(right).min_by_key(|head| head.seq)
}

fn one(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    now: Timestamp,
) -> Result<Option<HeadJob>, StoreError> {
    let found = conn
        .prepare_cached(sql)?
        .query_row(params, |row| head(row, now))
        .optional()?;
    Ok(found)
}

fn head(row: &Row<'_>, now: Timestamp) -> rusqlite::Result<HeadJob> {
    let rank: i64 = row.get(1)?;
    let priority =
        Priority::from_rank(rank).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, rank))?;
    Ok(HeadJob {
        seq: row.get(0)?,
        priority,
        runner: RunnerKey::from_stored(rows::text(row, 2)?),
        caller: rows::maybe_text(row, 3)?,
        created_at: HeadJob::accepted(Timestamp::from_millis(row.get(4)?), now),
    })
}
