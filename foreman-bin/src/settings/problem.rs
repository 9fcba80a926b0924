//! What is wrong with the settings, and where a value came from.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// No source gave it.
    Default,
    /// The settings file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl Source {
    /// Returns the kind of source in one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(_) => "file",
            Self::Environment(_) => "environment",
            Self::Flag(_) => "flag",
        }
    }

    /// Returns the key within this source: only a file holds more than one.
    pub(super) fn place(&self, key: &str) -> String {
        match self {
            Self::Default => format!("{key} (default)"),
            Self::File(path) => format!("{}: {key}", path.display()),
            Self::Environment(name) => name.clone(),
            Self::Flag(flag) => (*flag).to_owned(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One thing that is wrong with the settings; prints as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    key: Option<String>,
    source: Option<Source>,
    message: String,
}

impl Problem {
    /// A problem of one key in one source.
    pub(super) fn of_key(key: &str, source: Source, message: impl Into<String>) -> Self {
        Self {
            key: Some(key.to_owned()),
            source: Some(source),
            message: message.into(),
        }
    }

    /// A problem of a source as a whole.
    pub(super) fn of_source(source: Source, message: impl Into<String>) -> Self {
        Self {
            key: None,
            source: Some(source),
            message: message.into(),
        }
    }

    /// A problem of a key, whatever its source.
    pub(super) fn of_setting(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: Some(key.to_owned()),
            source: None,
            message: message.into(),
        }
    }

    /// Returns the key that it is about.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns the source that it is about.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Returns what is wrong and what to do, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, &self.key) {
            (Some(source), Some(key)) => write!(f, "{}: ", source.place(key))?,
            (Some(source), None) => write!(f, "{source}: ")?,
            (None, Some(key)) => write!(f, "{key}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.message)
    }
}
