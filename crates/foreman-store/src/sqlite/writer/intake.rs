//! Whether new jobs are taken: not while the disk is nearly full.

use std::path::PathBuf;

use crate::SqliteConfig;
use crate::sqlite::FreeSpace;
use crate::sqlite::files::{Ballast, Place};

/// Watches the disk, and gives up the reserve when SQLite finds it full.
#[derive(Debug)]
pub(in crate::sqlite) struct Intake {
    dir: PathBuf,
    free_space: FreeSpace,
    /// The intake closes below this, and opens again a quarter above it.
    reserve: u64,
    ballast: Ballast,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Open,
    /// There is less room than the reserve.
    Low(String),
    /// SQLite could not write. Opens again only when the writer is idle, since every try costs a
    /// failed transaction.
    Full(String),
}

/// The room that is left for new jobs within one transaction.
#[derive(Debug, Clone)]
pub(in crate::sqlite) struct Room {
    closed: Option<String>,
    left: u64,
}

impl Intake {
    pub(in crate::sqlite) fn new(place: &Place, config: &SqliteConfig) -> Self {
        Self {
            dir: place.dir().to_path_buf(),
            free_space: config.free_space.clone(),
            reserve: config.reserve,
            ballast: Ballast::new(place, config.ballast),
            state: State::Open,
        }
    }

    /// Looks at the disk before a transaction.
    pub(super) fn look(&mut self) -> Room {
        let free = self.measure();
        Room {
            closed: self.closed(),
            left: free.saturating_sub(self.reserve),
        }
    }

    /// Looks at the disk when there is nothing else to do; makes the reserve file again.
    pub(in crate::sqlite) fn idle(&mut self) {
        let wanted = self.enough().saturating_add(self.ballast.size());
        if self.measure() < wanted {
            return;
        }
        match self.ballast.keep() {
            Ok(()) => self.state = State::Open,
            Err(error) => tracing::debug!(%error, "no room for the reserve file"),
        }
    }

    /// Notes that SQLite could not write, and makes room for the jobs that run.
    pub(in crate::sqlite) fn full(&mut self, reason: &str) {
        self.ballast.give_up();
        self.state = State::Full(format!("{reason}; free some disk space"));
    }

    /// Says why no new jobs are taken; none while they are.
    pub(super) fn closed(&self) -> Option<String> {
        match &self.state {
            State::Open => None,
            State::Low(reason) | State::Full(reason) => Some(reason.clone()),
        }
    }

    /// Returns the room, and closes or opens the intake by it.
    fn measure(&mut self) -> u64 {
        let free = self.free_space.of(&self.dir);
        match self.state {
            State::Open if free < self.reserve => self.state = State::Low(self.low(free)),
            State::Low(_) if free >= self.enough() => self.state = State::Open,
            State::Open | State::Low(_) | State::Full(_) => {}
        }
        free
    }

    const fn enough(&self) -> u64 {
        self.reserve.saturating_add(self.reserve / 4)
    }

    fn low(&self, free: u64) -> String {
        const MIB: u64 = 1024 * 1024;
        format!(
            "{} MiB left in {}, {} MiB are kept in reserve; free some disk space",
            free / MIB,
            self.dir.display(),
            self.reserve / MIB
        )
    }
}

impl Room {
    /// As much as there can be.
    #[cfg(test)]
    pub(super) const fn endless() -> Self {
        Self {
            closed: None,
            left: u64::MAX,
        }
    }

    /// Takes room for a new job, or says why there is none.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), String> {
        if let Some(reason) = &self.closed {
            return Err(reason.clone());
        }
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err("the request does not fit beside the reserve".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn intake(free: &Arc<AtomicU64>) -> Intake {
        let free = Arc::clone(free);
        let config = SqliteConfig {
            reserve: 1000,
            ballast: 0,
            free_space: FreeSpace::new(move |_| Ok(free.load(Ordering::SeqCst))),
            ..SqliteConfig::new("queue.db")
        };
        Intake::new(&Place::new(Path::new("queue.db")), &config)
    }

    #[test]
    fn it_closes_below_the_reserve_and_opens_only_well_above_it() {
        let free = Arc::new(AtomicU64::new(1000));
        let mut intake = intake(&free);
        let mut seen = Vec::new();

        for bytes in [1000, 999, 1000, 1249, 1250, 1000] {
            free.store(bytes, Ordering::SeqCst);
            seen.push(intake.look().closed.is_none());
        }

        assert_eq!(seen, [true, false, false, false, true, true]);
    }

    #[test]
    fn one_group_does_not_take_the_same_room_twice() {
        let mut room = intake(&Arc::new(AtomicU64::new(1100))).look();

        assert_eq!(room.take(60), Ok(()));
        assert!(room.take(60).is_err());
        assert_eq!(room.take(40), Ok(()));
    }

    #[test]
    fn a_full_disk_closes_it_until_an_idle_moment() {
        let mut intake = intake(&Arc::new(AtomicU64::new(u64::MAX)));

        intake.full("database or disk is full");
        assert!(intake.look().take(1).is_err());
        intake.idle();

        assert_eq!(intake.look().take(1), Ok(()));
    }
}
