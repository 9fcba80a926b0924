//! Loads the settings: finds the sources, reads every key, checks them against each other.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checks;
use super::error::InvalidValue;
use super::layers::{CONFIG_VARIABLE, Layer, Layers};
use super::model::{QueueSettings, RetentionSettings, RetrySettings, Settings, TargetSettings};
use super::parse;
use super::place::{Platform, default_db};
use super::problem::{Problem, Source};
use super::raw::Raw;
use super::read::{Effective, Noted, Read, Reader, Shown};
use super::tokens::{CallerToken, parse_tokens};

/// The settings file that is read when none is named.
const FILE: &str = "foreman.toml";

/// Where settings come from.
#[derive(Clone, Default)]
pub struct Input {
    /// The environment variables.
    pub variables: Vec<(OsString, OsString)>,
    /// Where relative paths start; empty for the working directory.
    pub directory: PathBuf,
    /// The settings file that the command line names.
    pub config: Option<PathBuf>,
    /// Values from the command line, by key.
    pub flags: Vec<(&'static str, String)>,
}

// The variables hold secrets.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("directory", &self.directory)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What the sources gave.
#[derive(Debug, Clone)]
pub struct Loaded {
    settings: Option<Settings>,
    /// All settings in force, in the order of the documentation.
    pub effective: Vec<Effective>,
    /// Everything that is wrong; empty when the settings can be used.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Returns the settings.
    ///
    /// # Errors
    ///
    /// Returns all problems when there is one.
    pub fn into_settings(self) -> Result<Settings, Vec<Problem>> {
        self.settings.ok_or(self.problems)
    }
}

/// Loads the settings from all sources.
pub fn load(input: &Input) -> Loaded {
    let mut problems = Vec::new();
    let db = default_db(Platform::current(), &input.variables);
    let mut layers = vec![Layer::defaults(db.as_deref())];
    if let Some((path, text)) = read_file(input, &mut problems) {
        layers.push(Layer::file(&path, &text, &mut problems));
    }
    layers.push(Layer::environment(&input.variables, &mut problems));
    layers.push(Layer::flags(&input.flags));
    let layers = Layers::new(layers);
    let mut reader = Reader::new(&layers);
    let settings = read_settings(&mut reader, &input.directory);
    problems.append(&mut reader.problems);
    Loaded {
        settings: settings.ok().filter(|_| problems.is_empty()),
        effective: in_order(reader.effective),
        problems,
    }
}

fn read_file(input: &Input, problems: &mut Vec<Problem>) -> Option<(PathBuf, String)> {
    let variable = input
        .variables
        .iter()
        .find(|(name, value)| name == OsStr::new(CONFIG_VARIABLE) && !value.is_empty())
        .map(|(_, value)| Path::new(value));
    let (named, source) = match (&input.config, variable) {
        (Some(path), _) => (path.as_path(), Some(Source::Flag("--config"))),
        (None, Some(path)) => {
            let source = Source::Environment(CONFIG_VARIABLE.to_owned());
            (path, Some(source))
        }
        (None, None) => (Path::new(FILE), None),
    };
    let path = input.directory.join(named);
    match fs::read_to_string(&path) {
        Ok(text) => Some((path, text)),
        Err(error) if source.is_none() && error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            let source = source.unwrap_or(Source::File(path));
            problems.push(Problem::of_source(source, message));
            None
        }
    }
}

fn read_settings(reader: &mut Reader<'_>, directory: &Path) -> Read<Settings> {
    let listen = reader.required("listen", parse::address);
    let allow_anonymous = reader.required("allow_anonymous", parse::switch);
    let target = read_target(reader, directory);
    let db = reader.required("db", parse::path(directory));
    let tokens = read_tokens(reader, directory);
    let queue = read_queue(reader);
    let retention = read_retention(reader);
    let interim = reader.required("interim", parse::interim);
    let shutdown_grace = reader.required("shutdown_grace", parse::duration);
    let log = reader.required("log", parse::log_filter);
    let log_format = reader.required("log_format", parse::log_format);
    checks::has_database(reader);
    let known = tokens.as_deref().ok();
    checks::is_not_open_to_all(reader, listen.ok(), allow_anonymous.ok(), known);
    Ok(Settings {
        listen: listen?,
        allow_anonymous: allow_anonymous?,
        tokens: tokens?,
        db: db?,
        target: target?,
        queue: queue?,
        retention: retention?,
        interim: interim?,
        shutdown_grace: shutdown_grace?,
        log: log?,
        log_format: log_format?,
    })
}

fn read_target(reader: &mut Reader<'_>, directory: &Path) -> Read<TargetSettings> {
    let some_time = parse::at_least(Duration::from_millis(1));
    let url = reader.required("ollama_url", parse::url);
    let files = ("ollama_token", "ollama_token_file");
    let token = read_with_file(reader, files, directory, parse::secret);
    let embed_model = reader.optional("embed_model", parse::model);
    // Often enough to notice anything; more often would only load the target.
    let poll_interval = parse::at_least(Duration::from_millis(100));
    let poll_interval = reader.required("poll_interval", poll_interval);
    let keep_alive = reader.required("keep_alive", parse::keep_alive);
    let connect_timeout = reader.required("connect_timeout", &some_time);
    let first_byte_timeout = reader.required("first_byte_timeout", &some_time);
    let idle_timeout = reader.required("idle_timeout", &some_time);
    let max_run = reader.required("max_run", &some_time);
    Ok(TargetSettings {
        url: url?,
        token: token?,
        embed_model: embed_model?,
        poll_interval: poll_interval?,
        keep_alive: keep_alive?,
        connect_timeout: connect_timeout?,
        first_byte_timeout: first_byte_timeout?,
        idle_timeout: idle_timeout?,
        max_run: max_run?,
    })
}

fn read_queue(reader: &mut Reader<'_>) -> Read<QueueSettings> {
    let some_time = parse::at_least(Duration::from_millis(1));
    let max_attempts = reader.required("max_attempts", parse::whole(1..=1000_u32));
    let base = reader.required("retry_base", &some_time);
    let max = reader.required("retry_max", &some_time);
    let max_wait = reader.required("max_wait", parse::duration);
    let max_queue = reader.required("max_queue", parse::whole(1..=1_000_000_000_u64));
    let max_body = reader.required("max_body", parse::size);
    checks::grows(reader, base.ok(), max.ok());
    Ok(QueueSettings {
        max_queue: max_queue?,
        max_body: max_body?,
        max_wait: Some(max_wait?).filter(|wait| !wait.is_zero()),
        retry: RetrySettings {
            max_attempts: max_attempts?,
            base: base?,
            max: max?,
        },
    })
}

fn read_retention(reader: &mut Reader<'_>) -> Read<RetentionSettings> {
    let bodies = reader.required("retain_bodies", parse::duration);
    let jobs = reader.required("retain_jobs", parse::duration);
    Ok(RetentionSettings {
        bodies: bodies?,
        jobs: jobs?,
    })
}

fn read_tokens(reader: &mut Reader<'_>, directory: &Path) -> Read<Vec<CallerToken>> {
    let files = ("tokens", "tokens_file");
    let tokens = read_with_file(reader, files, directory, parse_tokens);
    tokens.map(Option::unwrap_or_default)
}

/// Reads a secret that may stand in a setting or in a file that another setting names.
fn read_with_file<T: Shown>(
    reader: &mut Reader<'_>,
    (key, file_key): (&'static str, &'static str),
    directory: &Path,
    parse: fn(&Raw) -> Result<T, InvalidValue>,
) -> Read<Option<T>> {
    let direct = reader.optional(key, parse);
    let file = reader.optional(file_key, parse::path(directory));
    let path = match (direct?, file?) {
        (direct, None) => return Ok(direct),
        (None, Some(path)) => path,
        (Some(_), Some(_)) => {
            let other = reader.source(key);
            let message = format!("{key} is set too (by {other}): remove one of them");
            reader.problem(file_key, message);
            return Err(Noted);
        }
    };
    let content = match fs::read_to_string(&path) {
        Ok(content) => Raw::Text(content),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            reader.problem(file_key, message);
            return Err(Noted);
        }
    };
    match parse(&content) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            reader.problem(file_key, format!("content of {}: {error}", path.display()));
            Err(Noted)
        }
    }
}

/// Puts the settings into the order of the documentation.
fn in_order(mut effective: Vec<Effective>) -> Vec<Effective> {
    let place = |row: &Effective| super::SETTINGS.iter().position(|info| info.key == row.key);
    effective.sort_by_key(place);
    effective
}
