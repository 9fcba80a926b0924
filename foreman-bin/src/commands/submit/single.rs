//! One job: submitted, watched, its answer printed.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::SubmitArgs;
use crate::commands::jobs::{JOBS, Sound, follow};
use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::remote::{AnswerText, JobView, Remote, Waiting};
use crate::screen::{Console, StatusLine};

/// How long foreman holds an answer back while the job is not over.
const HOLD: Duration = Duration::from_secs(30);

/// The same, where somebody watches.
const HOLD_WATCHED: Duration = Duration::from_secs(1);

/// Submits one job.
pub(super) async fn run(
    args: &SubmitArgs,
    submission: &Value,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let job = remote.send(Method::POST, JOBS, Some(submission)).await?;
    let job = job.unwrap_or_default();
    let view: JobView = remote.shape(job.clone())?;
    if args.follow {
        console.remark(&format!("job {}", view.id))?;
        let sound = if args.raw { Sound::Raw } else { Sound::Words };
        return follow(&view.id, sound, remote, console).await;
    }
    if args.wait {
        return wait(args, &view, remote, console).await;
    }
    match console.form {
        Form::Json => console.json(&job)?,
        // The id alone, so that it can be passed on.
        Form::Table => console.line(&view.id)?,
    }
    Ok(Exit::Ok)
}

async fn wait(
    args: &SubmitArgs,
    submitted: &JobView,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let mut line = StatusLine::new(console.stderr);
    if !line.is_seen() {
        console.remark(&format!("job {}", submitted.id))?;
    }
    let hold = if line.is_seen() { HOLD_WATCHED } else { HOLD };
    let path = format!("{JOBS}/{}?wait={}s", submitted.id, hold.as_secs());
    line.show(console.output.err, status(submitted))?;
    let job = loop {
        let job = remote.get_json(&path, Waiting::For(hold)).await;
        let job = job.and_then(|job| Ok((remote.shape::<JobView>(job.clone())?, job)));
        match job {
            Ok((view, job)) if view.is_over() => break (view, job),
            Ok((view, _)) => line.show(console.output.err, status(&view))?,
            Err(error) => {
                line.clear(console.output.err)?;
                return Err(error);
            }
        }
    };
    line.clear(console.output.err)?;
    let (view, job) = job;
    if console.form == Form::Json {
        console.json(&job)?;
    } else if view.state == "done" {
        answer(args, &view, remote, console).await?;
    }
    if view.state == "done" {
        return Ok(Exit::Ok);
    }
    let reason = view.error.map(|error| format!(": {}", error.message));
    let reason = reason.unwrap_or_default();
    console.remark(&format!("job {} {}{reason}", view.id, view.state))?;
    Ok(Exit::Failed)
}

fn status(job: &JobView) -> String {
    let note = job.note();
    let note = if note.is_empty() {
        note
    } else {
        format!(", {note}")
    };
    format!("{} {}{note}", job.id, job.state)
}

async fn answer(
    args: &SubmitArgs,
    job: &JobView,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<(), CommandError> {
    let response = remote
        .open_output(&format!("{JOBS}/{}/output", job.id))
        .await?;
    let body = remote.whole(response).await?;
    if args.raw {
        console.data(&body)?;
        return Ok(());
    }
    let mut text = AnswerText::default();
    let words = text.push(&body) + &text.finish();
    console.data(words.as_bytes())?;
    if !words.ends_with('\n') {
        console.data(b"\n")?;
    }
    Ok(())
}
