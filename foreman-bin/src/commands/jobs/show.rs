//! `foreman jobs show`: a job with all that is known of it.

use std::time::Duration;

use clap::Args;
use foreman_job::JobId;

use super::JOBS;
use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::remote::{JobView, Remote, Usage, Waiting};
use crate::screen::{Cell, Console, Paint, between, brief, of_state};

/// Arguments of `foreman jobs show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Id of the job.
    id: JobId,
    /// Print its request instead, as it came.
    #[arg(long, conflicts_with = "output")]
    request: bool,
    /// Print its output instead, as the target sent it.
    #[arg(long)]
    output: bool,
}

pub(super) async fn show(
    args: &ShowArgs,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let path = format!("{JOBS}/{}", args.id);
    if args.request {
        let body = remote.get(&format!("{path}/request"), Waiting::Not).await?;
        console.data(&body)?;
        return Ok(Exit::Ok);
    }
    if args.output {
        return output(&path, remote, console).await;
    }
    let job = remote.get_json(&path, Waiting::Not).await?;
    match console.form {
        Form::Json => console.json(&job)?,
        Form::Table => console.pairs(pairs(remote.shape(job)?))?,
    }
    Ok(Exit::Ok)
}

async fn output(
    path: &str,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let path = format!("{path}/output");
    let asked = remote.open_output(&path).await?;
    if asked.status == http::StatusCode::ACCEPTED {
        console.remark("error: there is no output yet")?;
        return Ok(Exit::Failed);
    }
    let mut body = asked.body;
    while let Some(piece) = body.chunk().await {
        console.data(&piece.map_err(|source| remote.lost(source))?)?;
    }
    Ok(Exit::Ok)
}

/// Puts what is known into the order of a job's life.
fn pairs(job: JobView) -> Vec<(&'static str, Cell)> {
    let note = job.note();
    let attempts = format!("{} of {} spent", job.attempt, job.max_attempts);
    let waited = job.queue_ms.map(|it| brief(Duration::from_millis(it)));
    let ran = match (&job.claimed_at, &job.finished_at) {
        (Some(from), Some(to)) => between(from, to).map(brief),
        _ => None,
    };
    let failure = job
        .error
        .map(|error| Cell::painted(format!("{}: {}", error.code, error.message), Paint::Bad));
    let state = Cell::painted(&*job.state, of_state(&job.state));
    let some = |text: Option<String>| text.map(Cell::from);
    let metadata = job.metadata.filter(|metadata| !metadata.is_empty());
    let all = [
        ("id", some(Some(job.id))),
        ("state", Some(state)),
        (
            "note",
            some(Some(note).filter(|it| !it.is_empty() && failure.is_none())),
        ),
        ("error", failure),
        ("endpoint", some(Some(job.endpoint))),
        ("model", some(Some(job.model))),
        ("priority", some(Some(job.priority))),
        ("caller", some(job.caller)),
        ("created", some(Some(job.created_at))),
        ("not before", some(job.not_before)),
        ("expires", some(job.expires_at)),
        ("retry at", some(job.retry_at)),
        ("claimed", some(job.claimed_at)),
        ("first byte", some(job.started_at)),
        ("finished", some(job.finished_at)),
        ("waited", some(waited)),
        ("ran", some(ran)),
        ("attempts", some(Some(attempts))),
        ("status", some(job.status.map(|it| it.to_string()))),
        ("tokens", some(job.usage.as_ref().and_then(tokens))),
        ("target", some(job.usage.as_ref().and_then(times))),
        ("retry of", some(job.retry_of)),
        (
            "metadata",
            some(metadata.map(|it| serde_json::Value::Object(it).to_string())),
        ),
    ];
    all.into_iter()
        .filter_map(|(name, cell)| Some((name, cell?)))
        .collect()
}

fn tokens(usage: &Usage) -> Option<String> {
    let (prompt, answer) = (usage.prompt_tokens, usage.completion_tokens);
    match (prompt, answer) {
        (None, None) => None,
        (prompt, answer) => Some(format!(
            "{} prompt, {} answer",
            prompt.unwrap_or_default(),
            answer.unwrap_or_default()
        )),
    }
}

fn times(usage: &Usage) -> Option<String> {
    let time =
        |millis: f64| brief(Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default());
    let total = time(usage.total_ms?);
    let load = usage.load_ms.map(time).unwrap_or_default();
    Some(format!("{total}, {load} of it loading"))
}
