//! `foreman submit`: makes jobs of prompts and requests, and waits for them as asked.

mod batch;
mod input;
mod progress;
mod single;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use foreman_job::{Endpoint, Priority};

use crate::commands::CommandError;
use crate::exit::Exit;
use crate::remote::{Remote, RemoteArgs};
use crate::screen::Console;
use crate::settings::parse_duration;

/// Arguments of `foreman submit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foreman submit -m llama3.2 --wait \"Why is the sky blue?\"
  git diff | foreman submit -m qwen3 --follow -
  foreman submit --file request.json --priority low --not-before 8h
  foreman submit --batch prompts.ndjson -m llama3.2 --wait

A line of a batch is a text in quotes, a request, or a whole submission:
  \"Why is the sky blue?\"
  {\"model\":\"llama3.2\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}
  {\"endpoint\":\"/api/generate\",\"request\":{…},\"priority\":\"low\"}")]
pub(crate) struct SubmitArgs {
    /// The prompt; `-` reads it from standard input.
    #[arg(required_unless_present_any = ["file", "batch"])]
    prompt: Option<String>,
    /// The model.
    #[arg(long, short)]
    model: Option<String>,
    /// File with one request as its endpoint takes it; `-` reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "batch"])]
    file: Option<PathBuf>,
    /// File with many, one JSON value a line; `-` reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "follow", "raw"])]
    batch: Option<PathBuf>,
    /// Where the request would have been sent.
    #[arg(long, default_value = Endpoint::Chat.path(), value_parser = endpoint)]
    endpoint: Endpoint,
    /// high, normal or low.
    #[arg(long)]
    priority: Option<Priority>,
    /// Do not start it later than this from now, such as 10m.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires_in: Option<Duration>,
    /// Do not start it earlier: a time such as 2026-01-31T22:00:00Z, or a duration from now.
    #[arg(long, value_name = "TIME|DURATION", value_parser = input::moment)]
    not_before: Option<input::Moment>,
    /// Note something on the job; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = input::pair)]
    metadata: Vec<(String, String)>,
    /// Wait until it is over, and print the answer.
    #[arg(long, conflicts_with = "follow")]
    wait: bool,
    /// Print the answer while it comes.
    #[arg(long)]
    follow: bool,
    /// Print the bytes of the target instead of the words in them.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

/// Submits what was asked.
pub(crate) async fn submit(
    args: &SubmitArgs,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    if let Some(path) = &args.batch {
        let submissions = input::batch(args, path)?;
        return batch::run(args, &submissions, remote, console).await;
    }
    let submission = input::single(args)?;
    single::run(args, &submission, remote, console).await
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse::<Endpoint>().map_err(|_| {
        let known = Endpoint::ALL.map(Endpoint::path).join(", ");
        format!("expected one of {known}")
    })
}
