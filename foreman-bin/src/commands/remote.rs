//! The commands that ask a running foreman: what they share.

use std::io;

use clap::Subcommand;

use crate::commands::jobs::JobsArgs;
use crate::commands::queue::QueueArgs;
use crate::commands::submit::SubmitArgs;
use crate::commands::{CommandError, jobs, queue, submit};
use crate::exit::Exit;
use crate::program::{Environment, Output, chain, report};
use crate::remote::{Place, Remote, RemoteArgs};
use crate::screen::Console;
use crate::settings::Input;

/// The commands that ask a running foreman.
#[derive(Debug, Subcommand)]
pub(crate) enum RemoteCommand {
    /// Submit a prompt, a request or many of them as jobs.
    Submit(Box<SubmitArgs>),
    /// List, show, follow, cancel, repeat and forget jobs.
    Jobs(JobsArgs),
    /// Show how the queue is; pause and resume it.
    Queue(QueueArgs),
}

impl RemoteCommand {
    fn remote(&self) -> &RemoteArgs {
        match self {
            Self::Submit(args) => &args.remote,
            Self::Jobs(args) => &args.remote,
            Self::Queue(args) => &args.remote,
        }
    }
}

/// Does a command that asks a running foreman.
pub(crate) fn ask(
    command: &RemoteCommand,
    input: &Input,
    environment: &Environment,
    output: &mut Output<'_>,
) -> io::Result<Exit> {
    let mut console = Console::new(output, environment, command.remote().json);
    let done = run(command, input, &mut console);
    conclude(done, output)
}

/// Says why a command did not do what it was asked.
pub(crate) fn conclude(
    done: Result<Exit, CommandError>,
    output: &mut Output<'_>,
) -> io::Result<Exit> {
    let error = match done {
        Ok(exit) => return Ok(exit),
        Err(CommandError::Output(error)) => return Err(error),
        Err(error) => error,
    };
    if let CommandError::Settings(problems) = &error {
        report(problems, output)?;
    } else {
        writeln!(output.err, "error: {}", chain(&error))?;
    }
    Ok(error.exit())
}

fn run(
    command: &RemoteCommand,
    input: &Input,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let remote = Remote::new(Place::find(command.remote(), input)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::Runtime)?;
    runtime.block_on(async {
        let done = async {
            match command {
                RemoteCommand::Submit(args) => submit::submit(args, &remote, console).await,
                RemoteCommand::Jobs(args) => jobs::jobs(&args.command, &remote, console).await,
                RemoteCommand::Queue(args) => {
                    queue::queue(args.command.as_ref(), &remote, console).await
                }
            }
        };
        tokio::select! {
            done = done => done,
            // The jobs go on: only the one who watched them leaves.
            _asked = tokio::signal::ctrl_c() => Err(CommandError::Interrupted),
        }
    })
}
