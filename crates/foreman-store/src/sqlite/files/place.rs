//! The database file and its directory: made private, and only where SQLite works.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::sqlite::OpenError;

/// Prompts are personal: nobody but the owner reads the files.
pub(super) const PRIVATE: u32 = 0o600;

/// Less than a page is no database: somebody has cut it off.
const PAGE: u64 = 4096;

/// Where a database and the files beside it lie.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    db: PathBuf,
}

/// Tells a file from another that took its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Place {
    pub(crate) fn new(db: &Path) -> Self {
        Self {
            db: db.to_path_buf(),
        }
    }

    pub(crate) fn db(&self) -> &Path {
        &self.db
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.beside("-wal")
    }

    /// Returns the path of a file whose name is the database's with an ending.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(&self.db);
        name.push(ending);
        PathBuf::from(name)
    }

    pub(crate) fn dir(&self) -> &Path {
        match self.db.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            Some(_) | None => Path::new("."),
        }
    }

    /// Makes the directory where it is missing, and checks that it will do.
    pub(crate) fn prepare(&self, allow_network_fs: bool) -> Result<(), OpenError> {
        let dir = self.dir();
        if !dir.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|source| self.unwritable(dir, source))?;
        }
        if !allow_network_fs && let Some(kind) = network_file_system(dir) {
            return Err(OpenError::NetworkFileSystem {
                path: self.db.clone(),
                kind,
            });
        }
        self.probe()
            .map_err(|source| self.unwritable(dir, source))?;
        // The files are private by themselves; whoever may write here could replace them.
        warn_if_wider(dir, 0o755);
        Ok(())
    }

    /// Makes the database file where it is missing, before SQLite would make it for everybody.
    ///
    /// SQLite gives its own files the same mode. An existing file is never opened here: closing it
    /// again would drop the locks that SQLite holds in this process.
    pub(crate) fn create(&self) -> Result<(), OpenError> {
        if fs::exists(&self.db).map_err(|source| self.unusable("look for", source))? {
            warn_if_wider(&self.db, PRIVATE);
            return Ok(());
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(&self.db)
            .and_then(|file| file.sync_all())
            .and_then(|()| File::open(self.dir())?.sync_all())
            .map_err(|source| self.unusable("create", source))
    }

    /// Tells which file the database is; fails where there is none, or not even its first page.
    pub(crate) fn identity(&self) -> io::Result<Identity> {
        let meta = fs::metadata(&self.db)?;
        if meta.len() < PAGE {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Identity {
            device: meta.dev(),
            inode: meta.ino(),
        })
    }

    /// A read-only directory would be noticed only at the first write.
    fn probe(&self) -> io::Result<()> {
        let path = self.beside(".probe");
        private_file(&path)?.write_all(b"foreman can write here\n")?;
        fs::remove_file(path)
    }

    fn unwritable(&self, path: &Path, source: io::Error) -> OpenError {
        let denied = matches!(
            source.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        );
        if denied {
            OpenError::ReadOnly {
                path: path.to_path_buf(),
                source: Box::new(source),
            }
        } else {
            self.unusable("use the directory of", source)
        }
    }

    fn unusable(&self, doing: &'static str, source: io::Error) -> OpenError {
        OpenError::File {
            doing,
            path: self.db.clone(),
            source,
        }
    }
}

/// Opens a file of ours, other than the database, for reading and writing.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE)
        .open(path)?;
    warn_if_wider(path, PRIVATE);
    Ok(file)
}

fn warn_if_wider(path: &Path, wanted: u32) {
    let Ok(meta) = fs::metadata(path) else { return };
    let mode = meta.permissions().mode() & 0o777;
    if mode & !wanted != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format!("{mode:03o}"),
            wanted = format!("{wanted:03o}"),
            "others may read or replace what foreman stores"
        );
    }
}

/// Names the file system of a directory if it is one of those that break SQLite's locks.
#[cfg(target_os = "linux")]
fn network_file_system(dir: &Path) -> Option<String> {
    let stat = rustix::fs::statfs(dir).ok()?;
    // The word is signed on some machines.
    name_of(i128::from(stat.f_type) & 0xffff_ffff).map(str::to_owned)
}

/// Names a file system by the mark that the system knows it by.
#[cfg(target_os = "linux")]
fn name_of(magic: i128) -> Option<&'static str> {
    const MAGIC: [(i128, &str); 8] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0x5346_414f, "AFS"),
        (0x00c3_6400, "Ceph"),
    ];
    let known = MAGIC.iter().find(|(known, _)| *known == magic);
    known.map(|(_, name)| *name)
}

/// Names the file system of a directory if it is one of those that break SQLite's locks.
#[cfg(not(target_os = "linux"))]
fn network_file_system(dir: &Path) -> Option<String> {
    const NETWORK: [&str; 7] = ["nfs", "smbfs", "cifs", "afpfs", "webdav", "fuse", "9p"];
    let stat = rustix::fs::statfs(dir).ok()?;
    let name: String = stat
        .f_fstypename
        .iter()
        .filter_map(|byte| u8::try_from(*byte).ok())
        .take_while(|byte| *byte != 0)
        .map(char::from)
        .collect();
    NETWORK
        .iter()
        .any(|known| name.contains(known))
        .then_some(name)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn file_systems_that_break_locks_are_told_by_their_marks() {
        let network = [
            0x6969,
            0x517b,
            0xff53_4d42,
            0xfe53_4d42,
            0x0102_1997,
            0x6573_5546,
        ];
        let local = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x2fc1_2fc1];

        let names: Vec<_> = network.into_iter().map(name_of).collect();
        assert!(names.iter().all(Option::is_some), "{names:?}");
        assert_eq!(local.map(name_of), [None; 5]);
    }

    #[test]
    fn a_refusal_of_a_network_file_system_says_what_to_do() {
        let refused = OpenError::NetworkFileSystem {
            path: "/mnt/share/foreman.db".into(),
            kind: "NFS".to_owned(),
        };

        assert_eq!(
            refused.to_string(),
            "/mnt/share/foreman.db lies on NFS, where databases get damaged; use a local disk, or \
             allow network file systems at your own risk"
        );
    }
}
