//! The lock file: one process owns a database.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, Write};
use std::path::Path;

use super::place::{Place, private_file};
use crate::SqliteConfig;
use crate::sqlite::OpenError;

/// Holds the lock for as long as it lives; the system releases it when the process dies.
#[derive(Debug)]
pub(crate) struct LockFile {
    /// The lock belongs to the open file.
    file: File,
    /// Whether the last owner died: one that ends leaves the file empty.
    widowed: bool,
}

impl LockFile {
    /// Takes the lock, and writes into the file who has it.
    pub(crate) fn take(place: &Place, config: &SqliteConfig) -> Result<Self, OpenError> {
        let path = place.beside(".lock");
        let unusable = |doing: &'static str| {
            let path = path.clone();
            move |source: io::Error| OpenError::File {
                doing,
                path,
                source,
            }
        };
        let mut file = private_file(&path).map_err(unusable("open lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Owned {
                    path: place.db().to_path_buf(),
                    who: owner(&path),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable("lock")(source)),
        }
        let widowed = file.metadata().is_ok_and(|meta| meta.len() > 0);
        sign(&mut file, config).map_err(unusable("write lock file"))?;
        Ok(Self { file, widowed })
    }

    /// Tells whether the last owner died without letting go of the database.
    pub(crate) const fn is_widowed(&self) -> bool {
        self.widowed
    }
}

impl Drop for LockFile {
    /// The database is closed by now.
    fn drop(&mut self) {
        if let Err(error) = self.file.set_len(0) {
            tracing::debug!(%error, "lock file cannot be emptied");
        }
    }
}

/// A file that a killed process left behind is not locked any more, and is written anew.
fn sign(file: &mut File, config: &SqliteConfig) -> io::Result<()> {
    let mut text = format!("pid {}", std::process::id());
    if !config.owner.is_empty() {
        text.push_str(", ");
        text.push_str(&config.owner);
    }
    if let Some(at) = config.opened_at {
        text.push_str(", since ");
        text.push_str(&at.to_string());
    }
    text.push('\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

fn owner(path: &Path) -> String {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        Ok(_) | Err(_) => "pid unknown".to_owned(),
    }
}
