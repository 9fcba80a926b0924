//! `foreman backup`: copies the database, also while foreman runs.

use std::io;
use std::path::PathBuf;

use clap::Args;
use foreman_store::{Existing, backup};
use serde_json::json;

use crate::commands::remote::conclude;
use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::program::{Environment, Output};
use crate::screen::Console;
use crate::settings::{Input, load};

/// Arguments of `foreman backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where the copy goes; it is written beside it first, and is whole once it has this name.
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// Database file [default: the db setting].
    #[arg(long, value_name = "PATH")]
    db: Option<String>,
    /// Replace FILE where it is there already.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Copies the database of the settings.
pub(crate) fn copy(
    args: &BackupArgs,
    mut input: Input,
    environment: &Environment,
    output: &mut Output<'_>,
) -> io::Result<Exit> {
    input.flags = args.db.iter().map(|db| ("db", db.clone())).collect();
    let mut console = Console::new(output, environment, args.json);
    let done = run(args, &input, &mut console);
    conclude(done, output)
}

fn run(
    args: &BackupArgs,
    input: &Input,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let settings = load(input)
        .into_settings()
        .map_err(CommandError::Settings)?;
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let made = backup(&settings.db, &input.directory.join(&args.to), existing)?;
    match console.form {
        Form::Json => {
            console.json(&json!({"path": made.path, "bytes": made.bytes, "jobs": made.jobs}))?;
        }
        Form::Table => {
            let size = made.bytes.div_ceil(1024);
            let (path, jobs) = (made.path.display(), made.jobs);
            console.line(&format!("{path} ({jobs} jobs, {size} KiB)"))?;
        }
    }
    Ok(Exit::Ok)
}
