//! `foreman jobs`: one file for each thing that can be done with jobs.

mod follow;
mod ls;
mod rm;
mod show;
mod steer;

use clap::{Args, Subcommand};
use foreman_job::JobId;

use crate::commands::CommandError;
use crate::exit::Exit;
use crate::remote::{Remote, RemoteArgs};
use crate::screen::Console;

pub(crate) use follow::{Sound, follow};

/// Where jobs are at foreman.
pub(crate) const JOBS: &str = "/foreman/v1/jobs";

/// Arguments of `foreman jobs`.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    pub(crate) command: JobsCommand,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, newest first.
    #[command(visible_alias = "list")]
    Ls(Box<ls::LsArgs>),
    /// Show a job, its request or its output.
    Show(show::ShowArgs),
    /// Print the answer of a job from its beginning, and on while it comes.
    Follow(follow::FollowArgs),
    /// Cancel jobs, waiting or running.
    Cancel(Named),
    /// Submit the requests of ended jobs again, as new jobs.
    Retry(Named),
    /// Forget ended jobs with their requests and answers.
    Rm(Named),
}

/// The jobs that something is to be done with.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Ids of the jobs.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<JobId>,
}

/// Does what was asked.
pub(crate) async fn jobs(
    command: &JobsCommand,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    match command {
        JobsCommand::Ls(args) => ls::ls(args, remote, console).await,
        JobsCommand::Show(args) => show::show(args, remote, console).await,
        JobsCommand::Follow(args) => follow::run(args, remote, console).await,
        JobsCommand::Cancel(jobs) => steer::cancel(&jobs.ids, remote, console).await,
        JobsCommand::Retry(jobs) => steer::retry(&jobs.ids, remote, console).await,
        JobsCommand::Rm(jobs) => rm::rm(&jobs.ids, remote, console).await,
    }
}

/// Notes that one of several jobs could not be dealt with, and goes on with the others.
///
/// # Errors
///
/// What concerns all of them, such as a foreman that is away.
fn one_failed(error: CommandError, console: &mut Console<'_, '_>) -> Result<Exit, CommandError> {
    let concerns_one =
        matches!(&error, CommandError::Refused { status, .. } if !matches!(status, 401 | 403));
    if !concerns_one {
        return Err(error);
    }
    console.remark(&format!("error: {error}"))?;
    Ok(error.exit())
}
