//! Asynchronous jobs: submitted now, looked at later.
//!
//! Where callers have tokens, each sees and steers its own jobs only; those of others are not there
//! for it. Where callers are anonymous, everybody sees all.

mod batch;
mod cursor;
mod estimate;
mod events;
#[cfg(feature = "fuzz")]
pub(crate) mod fuzz;
mod list;
pub(crate) mod object;
mod output;
mod steer;
mod stream;
mod submission;
mod submit;

use foreman_job::{Job, JobId};
use http::Method;

pub(crate) use self::submit::submitted;

use crate::app::Call;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::job_routes::{JobRoute, JobsRoute};
use crate::query::Query;
use crate::response::Response;

pub(crate) async fn answer(route: JobsRoute, call: Call) -> Result<Response, ApiError> {
    match route {
        JobsRoute::All if *call.request.method() == Method::POST => submit::answer(call).await,
        JobsRoute::All => list::answer(&call).await,
        JobsRoute::Events => events::answer(&call),
        JobsRoute::One(id, route) => one(&id, route, call).await,
    }
}

async fn one(id: &str, route: JobRoute, call: Call) -> Result<Response, ApiError> {
    let malformed = |_| ApiError::new(Fault::BadRequest, "job id: expected 26 letters and digits");
    let id: JobId = id.parse().map_err(malformed)?;
    let job = find(&call, id).await?;
    match route {
        JobRoute::Job if *call.request.method() == Method::DELETE => steer::delete(&call, id).await,
        JobRoute::Job => show(&call, job).await,
        JobRoute::Output => output::answer(&call, job).await,
        JobRoute::Stream => stream::answer(&call, id).await,
        JobRoute::Request => output::request(&call, id).await,
        JobRoute::Cancel => steer::cancel(&call, id).await,
        JobRoute::Retry => steer::retry(&call, job).await,
    }
}

/// Shows a job, after its end if the caller wants to wait for that.
async fn show(call: &Call, job: Job) -> Result<Response, ApiError> {
    let job = output::waited(call, job).await?;
    Ok(object::answer(&call.app, 200, job).await)
}

/// Finds a job that the caller may see.
async fn find(call: &Call, id: JobId) -> Result<Job, ApiError> {
    let job = call.app.scheduler.store().job(id).await;
    match job.map_err(|error| ApiError::store(&error))? {
        Some(job) if is_visible(&call.caller, &job) => Ok(job),
        Some(_) | None => Err(unknown(id)),
    }
}

fn is_visible(caller: &Caller, job: &Job) -> bool {
    let name = caller.name.as_deref();
    name.is_none() || name == job.caller.as_deref()
}

fn unknown(id: JobId) -> ApiError {
    ApiError::new(Fault::NotFound, format!("there is no job {id}"))
}

fn pruned(id: JobId) -> ApiError {
    ApiError::new(Fault::AnswerGone, "its bodies are not kept any more").of_job(id)
}

fn query(call: &Call) -> Result<Query, ApiError> {
    Query::read(call.request.uri().query())
}
