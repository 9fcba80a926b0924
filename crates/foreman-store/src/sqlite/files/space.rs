//! How much room the disk has, and a file to be given up when it has none.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;

use super::place::{Place, private_file};

type Probe = dyn Fn(&Path) -> io::Result<u64> + Send + Sync;

/// Tells how many bytes the disk of a directory has left; by default it asks the system.
#[derive(Clone)]
pub struct FreeSpace(Arc<Probe>);

impl FreeSpace {
    /// Asks something else than the system, such as a quota.
    pub fn new(probe: impl Fn(&Path) -> io::Result<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(probe))
    }

    /// Returns the room, or all there can be when nobody knows.
    pub(crate) fn of(&self, dir: &Path) -> u64 {
        match (self.0)(dir) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::debug!(%error, "disk does not tell how much room it has");
                u64::MAX
            }
        }
    }
}

impl Default for FreeSpace {
    fn default() -> Self {
        Self::new(|dir| {
            let stat = rustix::fs::statvfs(dir)?;
            Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
        })
    }
}

impl fmt::Debug for FreeSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreeSpace").finish_non_exhaustive()
    }
}

/// A file that holds room on the disk, so that running jobs can still end when there is no other.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    size: u64,
}

impl Ballast {
    pub(crate) fn new(place: &Place, size: u64) -> Self {
        Self {
            path: place.beside(".reserve"),
            size,
        }
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Makes the file unless it is there.
    pub(crate) fn keep(&self) -> io::Result<()> {
        if self.size == 0 || fs::metadata(&self.path).is_ok_and(|meta| meta.len() == self.size) {
            return Ok(());
        }
        let made = self.make();
        if made.is_err() {
            self.give_up();
        }
        made
    }

    /// Gives the room back to the disk.
    pub(crate) fn give_up(&self) {
        match fs::remove_file(&self.path) {
            Ok(()) => {
                tracing::warn!(path = %self.path.display(), "disk is full, reserve file given up");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "reserve file cannot be removed"),
        }
    }

    fn make(&self) -> io::Result<()> {
        let mut file = private_file(&self.path)?;
        file.set_len(0)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.size) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => {
                // Zeros take room everywhere but on disks that compress.
                io::copy(&mut io::Read::take(io::repeat(0), self.size), &mut file)?;
                file.flush()?;
            }
            Err(errno) => return Err(errno.into()),
        }
        file.set_len(self.size)
    }
}
