//! `foreman jobs cancel` takes jobs out of the queue, and stops the one that runs; `foreman jobs
//! retry` submits the requests of ended jobs again.

use foreman_job::JobId;
use http::Method;

use super::{JOBS, one_failed};
use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::remote::{JobView, Remote};
use crate::screen::Console;

pub(super) async fn cancel(
    ids: &[JobId],
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let told = |id: &JobId, job: JobView| {
        let what = match job.state.as_str() {
            "cancelled" => "cancelled",
            "done" | "failed" => "was over already",
            _ => "will be cancelled",
        };
        format!("{id}  {what}")
    };
    each(ids, "cancel", told, remote, console).await
}

pub(super) async fn retry(
    ids: &[JobId],
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    // The new id alone, so that it can be passed on.
    each(ids, "retry", |_, job| job.id, remote, console).await
}

/// Asks the same of each job, and tells what became of it.
async fn each(
    ids: &[JobId],
    verb: &str,
    told: impl Fn(&JobId, JobView) -> String,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let mut exit = Exit::Ok;
    for id in ids {
        let path = format!("{JOBS}/{id}/{verb}");
        let job = match remote.send(Method::POST, &path, None).await {
            Ok(job) => job.unwrap_or_default(),
            Err(error) => {
                exit = one_failed(error, console)?;
                continue;
            }
        };
        match console.form {
            Form::Json => console.json(&job)?,
            Form::Table => console.line(&told(id, remote.shape(job)?))?,
        }
    }
    Ok(exit)
}
