//! Why a command did not do what it was asked.

use std::io;
use std::path::PathBuf;

use foreman_ollama::{ConfigError, TargetError};
use foreman_store::BackupError;

use crate::exit::Exit;
use crate::settings::Problem;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The asynchronous runtime does not start.
    #[error("start the runtime")]
    Runtime(#[source] io::Error),
    /// The settings are wrong.
    #[error("the settings are wrong")]
    Settings(Vec<Problem>),
    /// The address of foreman cannot be used.
    #[error("the address of foreman, from {from}")]
    Address {
        /// Who gave it.
        from: &'static str,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// Nothing answers there.
    #[error("no foreman answers at {url}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What was met instead.
        source: TargetError,
    },
    /// Foreman said no.
    #[error("{message}{}", status_note(*status))]
    Refused {
        /// Its status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// What answers is not foreman, or not one of this version.
    #[error("{url} does not answer as foreman does: {what}")]
    Foreign {
        /// Who answered.
        url: String,
        /// What was wrong.
        what: String,
    },
    /// A file that was named cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was given makes no sense.
    #[error("{0}")]
    Input(String),
    /// The copy of the database was not made.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A signal came first.
    #[error("interrupted")]
    Interrupted,
    /// Nothing can be written.
    #[error("write the output")]
    Output(#[from] io::Error),
}

impl CommandError {
    /// Returns the exit code that tells of it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Runtime(_) => Exit::Internal,
            Self::Settings(_) => Exit::Config,
            Self::Address { from, .. } if from.starts_with("FOREMAN_") => Exit::Config,
            Self::Address { .. } | Self::Input(_) => Exit::Usage,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Refused { status: 404, .. } | Self::Backup(BackupError::NoDatabase { .. }) => {
                Exit::NotFound
            }
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
            Self::Refused { .. }
            | Self::Foreign { .. }
            | Self::Read { .. }
            | Self::Backup(_)
            | Self::Output(_) => Exit::Failed,
            Self::Interrupted => Exit::Interrupted,
        }
    }
}

/// Says what to do about the statuses that puzzle people most.
fn status_note(status: u16) -> &'static str {
    match status {
        401 => " (set FOREMAN_TOKEN, or give --token)",
        403 => " (foreman does not go by this host name)",
        _ => "",
    }
}
