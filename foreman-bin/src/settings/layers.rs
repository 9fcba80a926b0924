//! The sources of settings, merged by figment; the only file that knows it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Num, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::keys::{self, DefaultValue, SETTINGS};
use super::problem::{Problem, Source};
use super::raw::Raw;
use super::suggest::nearest;

/// What every environment variable of foreman starts with.
const PREFIX: &str = "FOREMAN_";

/// The variable that names the settings file; no setting itself.
pub(super) const CONFIG_VARIABLE: &str = "FOREMAN_CONFIG";

/// The variables of the commands that ask a running foreman; no settings either.
const CLIENT_VARIABLES: [&str; 2] = ["FOREMAN_URL", "FOREMAN_TOKEN"];

/// One source with its values.
#[derive(Clone)]
pub(super) struct Layer {
    origin: Origin,
    values: Dict,
}

#[derive(Clone, PartialEq, Eq)]
enum Origin {
    Default,
    File(PathBuf),
    Environment,
    Flags,
}

/// All sources, the later over the earlier.
pub(super) struct Layers {
    merged: Figment,
    layers: Vec<Layer>,
}

impl Layer {
    /// The defaults; `db` is where the database is on this platform, if that can be told.
    pub(super) fn defaults(db: Option<&Path>) -> Self {
        let value = |default| match default {
            DefaultValue::Text(text) => Some(text),
            DefaultValue::Unset => None,
            DefaultValue::DataDirectory => db.and_then(Path::to_str),
        };
        let entries = SETTINGS
            .iter()
            .filter_map(|info| Some((info.key.to_owned(), Value::from(value(info.default)?))));
        Self {
            origin: Origin::Default,
            values: entries.collect(),
        }
    }

    /// The content of a settings file; unknown keys become problems.
    pub(super) fn file(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Self {
        let source = || Source::File(path.to_owned());
        let values = Toml::from_str::<Dict>(text).unwrap_or_else(|error| {
            let place = error.span().map(|span| position(text, span.start));
            let message = syntax_message(place, error.message());
            problems.push(Problem::of_source(source(), message));
            Dict::new()
        });
        for (key, value) in &values {
            if keys::find(key).is_some() {
                continue;
            }
            let word = key.to_ascii_lowercase();
            let word = word.strip_prefix("foreman_").unwrap_or(&word);
            let known = SETTINGS.iter().map(|info| info.key);
            let hint = nearest(word, known).map(ToOwned::to_owned);
            let value = shown(value).filter(|_| !may_be_secret(word));
            problems.push(Problem::of_key(key, source(), unknown("key", value, hint)));
        }
        Self {
            origin: Origin::File(path.to_owned()),
            values,
        }
    }

    /// The variables that start with `FOREMAN_`; unknown ones become problems.
    ///
    /// An empty variable counts as not set. All values stay texts: a token of digits is no number.
    pub(super) fn environment(
        variables: &[(OsString, OsString)],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut values = Dict::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let known_elsewhere = name == CONFIG_VARIABLE || CLIENT_VARIABLES.contains(&name);
            if value.is_empty() || known_elsewhere {
                continue;
            }
            match (known_variable(name), value.to_str()) {
                (Some(key), Some(text)) => {
                    values.insert(key.to_owned(), Value::from(text));
                }
                (Some(key), None) => {
                    let source = Source::Environment(name.to_owned());
                    problems.push(Problem::of_key(key, source, "the value is no valid UTF-8"));
                }
                (None, text) if is_service_link(name, text.unwrap_or_default()) => {}
                (None, text) => problems.push(unknown_variable(name, text)),
            }
        }
        Self {
            origin: Origin::Environment,
            values,
        }
    }

    /// Flags of the command line by the keys that they set.
    pub(super) fn flags(flags: &[(&'static str, String)]) -> Self {
        let entries = flags.iter().map(|(key, text)| {
            let key = (*key).to_owned();
            (key, Value::from(text.as_str()))
        });
        Self {
            origin: Origin::Flags,
            values: entries.collect(),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.name())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

impl Origin {
    const fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(_) => "file",
            Self::Environment => "environment",
            Self::Flags => "flags",
        }
    }

    fn source(&self, key: &str) -> Source {
        match self {
            Self::Default => Source::Default,
            Self::File(path) => Source::File(path.clone()),
            Self::Environment => Source::Environment(keys::variable(key)),
            Self::Flags => {
                let flag = keys::find(key).and_then(|info| info.flag);
                Source::Flag(flag.unwrap_or("command line"))
            }
        }
    }
}

impl Layers {
    pub(super) fn new(layers: Vec<Layer>) -> Self {
        let merged = layers.iter().cloned().fold(Figment::new(), Figment::merge);
        Self { merged, layers }
    }

    /// Returns the value that counts and where it came from.
    pub(super) fn effective(&self, key: &str) -> Option<(Raw, Source)> {
        let value = self.merged.find_value(key).ok()?;
        let name = self.merged.find_metadata(key)?.name.as_ref();
        let layer = self
            .layers
            .iter()
            .find(|layer| layer.origin.name() == name)?;
        Some((raw(&value), layer.origin.source(key)))
    }

    /// Returns the values that somebody gave and that a later source replaced.
    pub(super) fn overridden(&self, key: &str) -> Vec<(Raw, Source)> {
        let mut given: Vec<_> = self
            .layers
            .iter()
            .filter(|layer| layer.origin != Origin::Default)
            .filter_map(|layer| Some((raw(layer.values.get(key)?), layer.origin.source(key))))
            .collect();
        given.pop();
        given
    }
}

fn raw(value: &Value) -> Raw {
    match value {
        Value::String(_, text) => Raw::Text(text.clone()),
        Value::Char(_, letter) => Raw::Text(letter.to_string()),
        Value::Bool(_, on) => Raw::Switch(*on),
        Value::Num(_, Num::F32(_) | Num::F64(_)) => Raw::Other("a number with a fraction"),
        Value::Num(_, number) => number
            .to_i128()
            .map_or(Raw::Other("a number too large"), Raw::Whole),
        Value::Empty(..) => Raw::Other("nothing"),
        Value::Dict(_, dict) => {
            let entries = dict.iter().map(|(key, value)| (key.clone(), raw(value)));
            Raw::Table(entries.collect())
        }
        Value::Array(_, items) => Raw::List(items.iter().map(raw).collect()),
    }
}

fn known_variable(name: &str) -> Option<&'static str> {
    let info = SETTINGS.iter().find(|info| info.variable() == name);
    info.map(|info| info.key)
}

fn unknown_variable(name: &str, value: Option<&str>) -> Problem {
    let word = name.strip_prefix(PREFIX).unwrap_or(name);
    let word = word.to_ascii_lowercase();
    let known = SETTINGS
        .iter()
        .map(|info| info.key)
        .chain(["config", "url"]);
    let hint = nearest(&word, known).map(keys::variable);
    let value = value.filter(|_| !may_be_secret(&word)).map(str::to_owned);
    // The key stays out: the name of the variable says it all.
    let source = Source::Environment(name.to_owned());
    Problem::of_source(source, unknown("variable", value, hint))
}

fn unknown(what: &str, value: Option<String>, hint: Option<String>) -> String {
    let value = value.map_or_else(String::new, |value| format!(" (value {value:?})"));
    match hint {
        Some(hint) => format!("unknown {what}{value}: did you mean {hint}?"),
        None => format!("unknown {what}{value}: `foreman check` lists all that are known"),
    }
}

/// Writes a plain value as a message shows it; a list or a table is not shown.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_f64().map(|number| number.to_string())),
        Value::Char(..) | Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}

/// Tells whether a misspelt key may have been meant for a secret: its value is not shown then.
fn may_be_secret(word: &str) -> bool {
    let close = nearest(word, SETTINGS.iter().map(|info| info.key));
    let is_secret = |key: &str| key.contains("token");
    close.is_some_and(is_secret)
        || ["tok", "secret", "key", "pass", "auth", "bearer", "cred"]
            .iter()
            .any(|part| word.contains(part))
}

/// Tells a variable that Kubernetes or Docker makes for a service called foreman.
fn is_service_link(name: &str, value: &str) -> bool {
    let numbered_port = name
        .split("PORT_")
        .skip(1)
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    name.ends_with("SERVICE_HOST")
        || name.contains("SERVICE_PORT")
        || numbered_port
        || (name.ends_with("PORT") && value.contains("://"))
}

/// The parser's own text would quote the line, which may hold a secret.
fn syntax_message(place: Option<(usize, usize)>, message: &str) -> String {
    let place = place.map_or_else(String::new, |(line, column)| {
        format!(" at line {line}, column {column}")
    });
    let harmless = |line: &&str| {
        let about_syntax = line.starts_with("invalid ") || line.starts_with("expected ");
        about_syntax && !line.starts_with("invalid type") && !line.starts_with("invalid value")
    };
    let details: Vec<_> = message.lines().filter(harmless).collect();
    let details = if details.is_empty() {
        "texts need quotes, a key may stand once".to_owned()
    } else {
        details.join(", ")
    };
    format!("is no valid TOML{place}: {details}")
}

/// Returns line and column, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}
