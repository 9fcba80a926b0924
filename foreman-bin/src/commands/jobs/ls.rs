//! `foreman jobs ls`: lists jobs, newest first.

use clap::Args;
use clap::builder::PossibleValuesParser;
use foreman_job::{Endpoint, JobState};
use serde_json::{Value, json};

use super::JOBS;
use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::remote::{JobPage, JobView, Remote, Waiting, query};
use crate::screen::{Cell, Console, Paint, Table, age, brief, of_state};
use crate::telemetry::Screen;

/// Jobs that foreman is asked for at once.
const PAGE: u32 = 100;

/// Arguments of `foreman jobs ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only jobs in this state.
    #[arg(long, value_parser = PossibleValuesParser::new(JobState::ALL.map(JobState::as_str)))]
    state: Option<String>,
    /// Only jobs for this model.
    #[arg(long)]
    model: Option<String>,
    /// Only jobs of this caller.
    #[arg(long)]
    caller: Option<String>,
    /// Only jobs of this endpoint.
    #[arg(long, value_parser = PossibleValuesParser::new(Endpoint::ALL.map(Endpoint::path)))]
    endpoint: Option<String>,
    /// At most so many jobs.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All jobs, however many there are.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on after the cursor that an earlier list ended with.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

pub(super) async fn ls(
    args: &LsArgs,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let mut left = if args.all { u32::MAX } else { args.limit };
    let mut cursor = args.after.clone();
    let mut jobs: Vec<Value> = Vec::new();
    loop {
        let limit = left.min(PAGE).to_string();
        let path = query(
            JOBS,
            &[
                ("state", args.state.as_deref()),
                ("model", args.model.as_deref()),
                ("caller", args.caller.as_deref()),
                ("endpoint", args.endpoint.as_deref()),
                ("limit", Some(&limit)),
                ("after", cursor.as_deref()),
            ],
        );
        let page = remote.get_json(&path, Waiting::Not).await?;
        let page: JobPage = remote.shape(page)?;
        left = left.saturating_sub(u32::try_from(page.jobs.len()).unwrap_or(u32::MAX));
        jobs.extend(page.jobs);
        cursor = page.next;
        if left == 0 || cursor.is_none() {
            break;
        }
    }
    match console.form {
        Form::Json => console.json(&json!({"jobs": jobs, "next": cursor}))?,
        Form::Table => table(jobs, cursor, remote, console)?,
    }
    Ok(Exit::Ok)
}

fn table(
    jobs: Vec<Value>,
    next: Option<String>,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<(), CommandError> {
    let mut table = Table::new(["ID", "STATE", "MODEL", "PRIORITY", "CALLER", "AGE", "NOTE"]);
    for job in jobs {
        let job: JobView = remote.shape(job)?;
        let age = match console.stdout {
            // Programs compute with times, and an age would be wrong soon.
            Screen::Pipe => job.created_at.clone(),
            Screen::Plain | Screen::Colour => age(&job.created_at).map(brief).unwrap_or_default(),
        };
        let note = job.note();
        let paint = if job.error.is_some() {
            Paint::Bad
        } else {
            Paint::Dim
        };
        table.row([
            Cell::from(job.id),
            Cell::painted(&*job.state, of_state(&job.state)),
            job.model.into(),
            job.priority.into(),
            job.caller.unwrap_or_else(|| "-".to_owned()).into(),
            age.into(),
            Cell::painted(note, paint),
        ]);
    }
    console.table(&table)?;
    if let Some(next) = next
        && console.stdout != Screen::Pipe
    {
        console.remark(&format!("there are more: --after {next}, or --all"))?;
    }
    Ok(())
}
