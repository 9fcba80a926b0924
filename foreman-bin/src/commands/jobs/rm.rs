//! `foreman jobs rm`: forgets ended jobs with their requests and answers.

use foreman_job::JobId;
use http::Method;
use serde_json::json;

use super::{JOBS, one_failed};
use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::remote::Remote;
use crate::screen::Console;

pub(super) async fn rm(
    ids: &[JobId],
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let mut exit = Exit::Ok;
    for id in ids {
        let path = format!("{JOBS}/{id}");
        match remote.send(Method::DELETE, &path, None).await {
            Ok(_) => match console.form {
                Form::Json => console.json(&json!({"id": id, "deleted": true}))?,
                Form::Table => console.line(&format!("{id}  forgotten"))?,
            },
            Err(error) => exit = one_failed(error, console)?,
        }
    }
    Ok(exit)
}
