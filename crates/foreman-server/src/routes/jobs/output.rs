//! What was asked, what was answered, and waiting for it.

use std::time::Duration;

use foreman_job::{Job, JobId};
use foreman_scheduler::from_stored;
use http::header::{self, HeaderValue};
use tokio::time::Instant;

use super::{object, pruned, query, unknown};
use crate::app::Call;
use crate::error::ApiError;
use crate::response::{self, Body, Response};
use crate::routes::replay;
use crate::shape;

/// Nobody waits longer than this.
const LONGEST: Duration = Duration::from_hours(1);

/// Answers with the target's own answer once there is one.
pub(super) async fn answer(call: &Call, job: Job) -> Result<Response, ApiError> {
    let job = waited(call, job).await?;
    if job.progress.state.is_terminal() {
        return replay::stored(&call.app, &job, shape::of_path(call.request.uri().path())).await;
    }
    let ahead = call.app.scheduler.store().counts().queued;
    let after = call.app.retry_after(ahead);
    let mut response = object::answer(&call.app, 202, job).await;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, after.into());
    Ok(response)
}

/// Answers with the stored request.
pub(super) async fn request(call: &Call, id: JobId) -> Result<Response, ApiError> {
    query(call)?.finish()?;
    let stored = call.app.scheduler.store().request(id).await;
    let stored = stored.map_err(|error| ApiError::store(&error))?;
    let stored = stored.ok_or_else(|| pruned(id))?;
    let mut response = Response::new(Body::full(stored.body));
    let headers = from_stored(&stored.headers);
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        if let Some(value) = headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let json = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .entry(header::CONTENT_TYPE)
        .or_insert(json);
    response
        .headers_mut()
        .insert(shape::JOB_ID, shape::job_header(id));
    response.extensions_mut().insert(id);
    response::set_status(&mut response, 200);
    Ok(response)
}

/// Waits for the end of a job as long as the caller wants to.
pub(super) async fn waited(call: &Call, job: Job) -> Result<Job, ApiError> {
    let mut query = query(call)?;
    let wait = query.duration("wait")?;
    query.finish()?;
    let id = job.id;
    let Some(wait) = wait.filter(|_| !job.progress.state.is_terminal()) else {
        return Ok(job);
    };
    let deadline = Instant::now() + wait.min(LONGEST);
    let ended = call.app.scheduler.wait_for_end(id, deadline).await;
    ended
        .map_err(|error| ApiError::store(&error))?
        .ok_or_else(|| unknown(id))
}
