//! Reads keys one by one, noting problems and where each value came from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use foreman_ollama::{KeepAlive, Secret, TargetUrl};

use super::duration::format_duration;
use super::error::InvalidValue;
use super::keys;
use super::layers::Layers;
use super::model::Interim;
use super::problem::{Problem, Source};
use super::raw::Raw;
use super::size::ByteSize;
use super::tokens::{CallerToken, masked};
use crate::telemetry::{LogFilter, LogFormat};

/// What stands in a listing in place of a value that is wrong.
const INVALID: &str = "(invalid)";

/// What reading a key gives.
pub(super) type Read<T> = Result<T, Noted>;

/// Stands for a value that is wrong; the reader has noted why.
#[derive(Clone, Copy)]
pub(super) struct Noted;

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Its key.
    pub key: &'static str,
    /// Its value as text, secrets masked; `None` when it has none.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: Source,
}

impl Effective {
    /// Returns the environment variable that sets it.
    pub fn variable(&self) -> String {
        keys::variable(self.key)
    }
}

/// Reads values out of the layers.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    /// In the order of reading.
    pub(super) effective: Vec<Effective>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            effective: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Reads a setting that always has a value.
    pub(super) fn required<T: Shown>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Raw) -> Result<T, InvalidValue>,
    ) -> Read<T> {
        self.read_overridden(key, &parse, |_| false);
        if let Some((raw, source)) = self.layers.effective(key) {
            return self.read(key, &raw, source, &parse);
        }
        self.note(key, None, Source::Default);
        Err(Noted)
    }

    /// Reads a setting that may have no value.
    pub(super) fn optional<T: Shown>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Raw) -> Result<T, InvalidValue>,
    ) -> Read<Option<T>> {
        self.read_overridden(key, &parse, Raw::is_blank);
        match self.layers.effective(key) {
            Some((raw, source)) if raw.is_blank() => self.note(key, None, source),
            Some((raw, source)) => return self.read(key, &raw, source, &parse).map(Some),
            None => self.note(key, None, Source::Default),
        }
        Ok(None)
    }

    /// Returns where the value of a key came from.
    pub(super) fn source(&self, key: &str) -> Source {
        let row = self.effective.iter().find(|row| row.key == key);
        row.map_or(Source::Default, |row| row.source.clone())
    }

    /// Notes a problem of the value in force.
    pub(super) fn problem(&mut self, key: &'static str, message: impl Into<String>) {
        let problem = Problem::of_key(key, self.source(key), message);
        self.problems.push(problem);
    }

    /// A wrong value is told of even where another source replaces it: one day that one is gone.
    fn read_overridden<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Raw) -> Result<T, InvalidValue>,
        skip: impl Fn(&Raw) -> bool,
    ) {
        for (raw, source) in self.layers.overridden(key) {
            if skip(&raw) {
                continue;
            }
            if let Err(error) = parse(&raw) {
                self.problems.push(invalid_value(key, source, &raw, &error));
            }
        }
    }

    fn read<T: Shown>(
        &mut self,
        key: &'static str,
        raw: &Raw,
        source: Source,
        parse: impl Fn(&Raw) -> Result<T, InvalidValue>,
    ) -> Read<T> {
        match parse(raw) {
            Ok(value) => {
                self.note(key, Some(value.shown()), source);
                Ok(value)
            }
            Err(error) => {
                let problem = invalid_value(key, source.clone(), raw, &error);
                self.problems.push(problem);
                self.note(key, Some(INVALID.to_owned()), source);
                Err(Noted)
            }
        }
    }

    fn note(&mut self, key: &'static str, value: Option<String>, source: Source) {
        self.effective.push(Effective { key, value, source });
    }
}

fn invalid_value(key: &str, source: Source, raw: &Raw, error: &InvalidValue) -> Problem {
    let secret = keys::find(key).is_some_and(|info| info.secret);
    let message = if secret || error.hides_value() {
        format!("invalid value: {error}")
    } else {
        format!("invalid value {}: {error}", raw.shown())
    };
    Problem::of_key(key, source, message)
}

/// How a value looks in a listing.
pub(super) trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Duration {
    fn shown(&self) -> String {
        format_duration(*self)
    }
}

impl Shown for PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl Shown for Vec<CallerToken> {
    fn shown(&self) -> String {
        masked(self)
    }
}

impl Shown for KeepAlive {
    fn shown(&self) -> String {
        match self {
            Self::Forever => "forever".to_owned(),
            Self::For(duration) => format_duration(*duration),
        }
    }
}

impl Shown for Interim {
    fn shown(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::On => "on".to_owned(),
            Self::Off => "off".to_owned(),
            Self::Every(interval) => format_duration(*interval),
        }
    }
}

impl Shown for LogFormat {
    fn shown(&self) -> String {
        self.as_str().to_owned()
    }
}

macro_rules! shown_by_display {
    ($($kind:ty),+) => {
        $(impl Shown for $kind {
            fn shown(&self) -> String {
                self.to_string()
            }
        })+
    };
}

// A secret displays as asterisks.
shown_by_display!(
    SocketAddr, bool, TargetUrl, Secret, String, u32, u64, ByteSize, LogFilter
);
