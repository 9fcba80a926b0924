//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::backup::BackupArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::{Form, RemoteCommand};
use crate::exit::Exit;
use crate::settings::parse_duration;
use crate::telemetry::Screen;

const EXAMPLES: &str = "\
Examples:
  foreman serve --target http://mac.local:11434
  foreman serve --target stub --stub-model llama3.2:1b
  foreman serve --config /etc/foreman.toml --log debug
  foreman check --json
  foreman submit --model llama3.2 --wait 'Why is the sky blue?'
  foreman jobs ls --state queued
  foreman backup /backups/foreman.db

Settings come from the defaults, then foreman.toml, then FOREMAN_* variables,
then flags; `foreman check` shows each with its source.";

/// The value of `--target` that stands for the embedded stub.
const STUB: &str = "stub";

/// A durable, drop-in queueing front for Ollama.
#[derive(Debug, Parser)]
#[command(
    name = "foreman",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(after_help = format!("{EXAMPLES}\n\nExit codes:\n{}", Exit::table()))]
pub(crate) struct Cli {
    /// Settings file [default: foreman.toml in the working directory, where there is one].
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Accept requests, queue them, and run them at the target.
    Serve(Box<ServeArgs>),
    /// Show the effective settings with the source of each; exit with 3 when one is wrong.
    Check(CheckArgs),
    #[command(flatten)]
    Remote(RemoteCommand),
    /// Copy the database to a file, also while foreman runs.
    Backup(BackupArgs),
    /// Print what a shell needs to complete command lines.
    Completions(CompletionsArgs),
}

/// Arguments of `foreman serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The Ollama server, or `stub` for the embedded one.
    #[arg(long, value_name = "URL|stub")]
    target: Option<String>,
    /// Database file.
    #[arg(long, value_name = "PATH")]
    db: Option<String>,
    /// Embedding model to keep loaded at the target.
    #[arg(long, value_name = "MODEL")]
    embed_model: Option<String>,
    /// Log level, or a filter such as `info,foreman_scheduler=debug`.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Form of the log lines: auto, human or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    #[command(flatten)]
    stub: StubArgs,
}

/// Flags of the embedded stub, only with `--target stub`.
#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "each is named after its flag")]
#[command(next_help_heading = "Embedded stub (only with --target stub)")]
struct StubArgs {
    /// Model that the stub has; may be repeated. One with `embed` or `minilm` in its name embeds.
    #[arg(long, value_name = "NAME")]
    stub_model: Vec<String>,
    /// How long the stub takes to load a model.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    stub_load_time: Option<Duration>,
    /// Time between two tokens of the stub.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    stub_token_pace: Option<Duration>,
    /// Tokens in an answer of the stub.
    #[arg(long, value_name = "N")]
    stub_tokens: Option<u32>,
    /// Models that the stub keeps loaded at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stub_max_loaded: Option<u32>,
    /// Address of the stub itself [default: any free port of 127.0.0.1].
    #[arg(long, value_name = "ADDRESS:PORT")]
    stub_listen: Option<SocketAddr>,
}

/// Arguments of `foreman check`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct CheckArgs {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What `foreman serve` needs beside the settings.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Run this stub and take it for the target, whatever the settings name.
    pub stub: Option<EmbeddedStub>,
    /// What the log is written to.
    pub screen: Screen,
    /// Where the process is to kill itself.
    #[cfg(feature = "fail-points")]
    pub fuse: std::sync::Arc<crate::Fuse>,
}

/// The embedded stub as asked for on the command line; `None` leaves it to the stub's own default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbeddedStub {
    /// Names of its models; empty for the stub's own set.
    pub models: Vec<String>,
    /// How long it takes to load a model.
    pub load_time: Option<Duration>,
    /// Time between two tokens.
    pub token_pace: Option<Duration>,
    /// Tokens in an answer.
    pub tokens: Option<u32>,
    /// Models loaded at once, at least one.
    pub max_loaded: Option<u32>,
    /// Where it listens; any free loopback port when not given.
    pub listen: Option<SocketAddr>,
}

impl CheckArgs {
    pub(crate) fn form(self) -> Form {
        if self.json { Form::Json } else { Form::Table }
    }
}

impl ServeArgs {
    /// Returns the flags that are settings, by the key of each.
    pub(crate) fn flags(&self) -> Vec<(&'static str, String)> {
        let target = self.target.clone().filter(|target| target != STUB);
        let flags = [
            ("listen", self.listen.clone()),
            ("ollama_url", target),
            ("db", self.db.clone()),
            ("embed_model", self.embed_model.clone()),
            ("log", self.log.clone()),
            ("log_format", self.log_format.clone()),
        ];
        flags
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }

    /// Returns everything that is no setting.
    ///
    /// # Errors
    ///
    /// Refuses flags of the stub when the target is another.
    pub(crate) fn options(&self, screen: Screen) -> Result<ServeOptions, clap::Error> {
        let stub = self.stub.to_stub();
        if self.target.as_deref() == Some(STUB) {
            return Ok(ServeOptions::new(Some(stub), screen));
        }
        if stub != EmbeddedStub::default() {
            let message = "flags that start with --stub- need --target stub";
            return Err(Cli::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(ServeOptions::new(None, screen))
    }
}

impl ServeOptions {
    fn new(stub: Option<EmbeddedStub>, screen: Screen) -> Self {
        Self {
            stub,
            screen,
            #[cfg(feature = "fail-points")]
            fuse: std::sync::Arc::default(),
        }
    }
}

impl StubArgs {
    fn to_stub(&self) -> EmbeddedStub {
        EmbeddedStub {
            models: self.stub_model.clone(),
            load_time: self.stub_load_time,
            token_pace: self.stub_token_pace,
            tokens: self.stub_tokens,
            max_loaded: self.stub_max_loaded,
            listen: self.stub_listen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(args: &[&str]) -> ServeArgs {
        let line = ["foreman", "serve"].into_iter().chain(args.iter().copied());
        let Command::Serve(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("not serve");
        };
        *args
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_flag_becomes_the_setting_of_its_key() {
        let args = serve(&[
            "--listen",
            "127.0.0.1:1",
            "--target",
            "http://mac",
            "--log",
            "debug",
        ]);

        let flags = args.flags();

        assert_eq!(
            flags,
            [
                ("listen", "127.0.0.1:1".to_owned()),
                ("ollama_url", "http://mac".to_owned()),
                ("log", "debug".to_owned()),
            ]
        );
        assert!(args.options(Screen::Pipe).unwrap().stub.is_none());
    }

    #[test]
    fn target_stub_is_no_setting_but_an_embedded_stub() {
        let args = serve(&[
            "--target",
            "stub",
            "--stub-model",
            "a",
            "--stub-model=b:1b",
            "--stub-load-time=1m30s",
            "--stub-token-pace=20ms",
            "--stub-tokens=7",
            "--stub-max-loaded=2",
            "--stub-listen=127.0.0.1:9",
        ]);

        let stub = args.options(Screen::Pipe).unwrap().stub.unwrap();

        assert!(args.flags().is_empty());
        assert_eq!(stub.models, ["a", "b:1b"]);
        assert_eq!(stub.load_time, Some(Duration::from_secs(90)));
        assert_eq!(stub.token_pace, Some(Duration::from_millis(20)));
        assert_eq!((stub.tokens, stub.max_loaded), (Some(7), Some(2)));
        assert_eq!(stub.listen, Some("127.0.0.1:9".parse().unwrap()));
    }

    #[test]
    fn stub_flags_without_the_stub_are_refused() {
        let args = serve(&["--target", "http://mac", "--stub-tokens", "0"]);

        let error = args.options(Screen::Pipe).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    }
}
