//! `foreman jobs cancel`: takes jobs out of the queue, and stops the one that runs.

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
    let mut exit = Exit::Ok;
    for id in ids {
        let path = format!("{JOBS}/{id}/cancel");
        let job = match remote.send(Method::POST, &path, None).await {
            Ok(job) => job.unwrap_or_default(),
            Err(error) => {
                exit = one_failed(error, console)?;
                continue;
            }
        };
        match console.form {
            Form::Json => console.json(&job)?,
            Form::Table => {
                let job: JobView = remote.shape(job)?;
                let what = match job.state.as_str() {
                    "cancelled" => "cancelled",
                    "done" | "failed" => "was over already",
                    _ => "will be cancelled",
                };
                console.line(&format!("{id}  {what}"))?;
            }
        }
    }
    Ok(exit)
}
