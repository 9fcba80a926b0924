//! Counts how often its point was passed, and kills the process at the chosen time.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use super::{NoSuchPoint, Point};

/// Kills the process at one point, or at none.
#[derive(Debug, Default)]
pub struct Fuse {
    point: Option<Point>,
    /// How often the point is still passed without harm.
    left: AtomicU32,
    /// Whether the next commit is the last.
    armed: AtomicBool,
}

impl Fuse {
    /// Tells whether there is a point at all.
    pub(super) const fn is_set(&self) -> bool {
        self.point.is_some()
    }

    /// Dies where this is the point, and it was passed often enough.
    pub(crate) fn hit(&self, point: Point) {
        if self.is_due(point) {
            die();
        }
    }

    /// Dies in the next commit where this is the point, and it was passed often enough.
    pub(super) fn arm(&self, point: Point) {
        if self.is_due(point) {
            self.armed.store(true, Ordering::Release);
        }
    }

    /// Sees a commit.
    pub(super) fn commits(&self) {
        if self.armed.load(Ordering::Acquire) {
            die();
        }
    }

    fn is_due(&self, point: Point) -> bool {
        let passed = || {
            self.left
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                    left.checked_sub(1)
                })
        };
        self.point == Some(point) && passed().is_err()
    }
}

impl FromStr for Fuse {
    type Err = NoSuchPoint;

    fn from_str(text: &str) -> Result<Self, NoSuchPoint> {
        let (name, time) = text.split_once(':').unwrap_or((text, "1"));
        let time: u32 = time.parse().map_err(|_| NoSuchPoint(text.to_owned()))?;
        Ok(Self {
            point: Some(name.parse()?),
            left: AtomicU32::new(time.saturating_sub(1)),
            armed: AtomicBool::new(false),
        })
    }
}

/// Ends the process as `kill -9` does: nothing is flushed, closed or said.
fn die() -> ! {
    let _sent = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fuse_is_due_at_its_point_and_time_only() {
        let fuse: Fuse = "after_claim:3".parse().unwrap();
        let point: Point = "after_claim".parse().unwrap();

        assert!(!fuse.is_due(Point::BeforeConnect));
        let due: Vec<_> = (0..4).map(|_| fuse.is_due(point)).collect();

        assert_eq!(due, [false, false, true, true]);
    }

    #[test]
    fn every_point_is_found_by_its_name_and_no_other() {
        for point in Point::all() {
            assert_eq!(point.to_string().parse(), Ok(point));
        }
        assert!("after_lunch".parse::<Fuse>().is_err());
        assert!("after_claim:often".parse::<Fuse>().is_err());
    }
}
