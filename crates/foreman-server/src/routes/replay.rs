//! Answers that were given before, to a repeated request.

use std::collections::VecDeque;

use foreman_job::{Job, JobState};
use foreman_ollama::Shape;
use foreman_scheduler::from_stored;
use foreman_store::StoredAnswer;
use futures_util::stream;
use http::header::{self, HeaderName, HeaderValue};

use crate::app::App;
use crate::deliveries::Held;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::response::{self, Body, Response};
use crate::shape;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Gives the answer of a job that has ended, or says again how it ended without one.
pub(super) async fn answer(app: &App, job: &Job, shape: Shape) -> Result<Response, ApiError> {
    let mut response = stored(app, job, shape).await?;
    let replayed = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, replayed);
    Ok(response)
}

/// Gives the answer of a job that has ended, or says how it ended without one.
pub(super) async fn stored(app: &App, job: &Job, shape: Shape) -> Result<Response, ApiError> {
    let stored = app.scheduler.store().answer(job.id).await;
    let stored = stored.map_err(|error| ApiError::store(&error))?;
    let mut response = match stored {
        Some(answer) if !answer.chunks.is_empty() => replay(job, answer),
        Some(_) | None => without_answer(job).of_job(job.id).response(shape),
    };
    response.extensions_mut().insert(job.id);
    Ok(response)
}

fn without_answer(job: &Job) -> ApiError {
    match (&job.failure, job.progress.state) {
        (Some(failure), JobState::Failed) => ApiError::failed(failure),
        (_, JobState::Cancelled) => ApiError::new(Fault::Cancelled, "the job was cancelled"),
        _ => ApiError::new(Fault::AnswerGone, "the answer is not kept any more"),
    }
}

/// Gives a stored answer; one that is stored has its proper end.
fn replay(job: &Job, answer: StoredAnswer) -> Response {
    let StoredAnswer { head, chunks, .. } = answer;
    let mut headers = from_stored(&head.headers);
    headers.remove(header::CONTENT_LENGTH);
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let chunks = VecDeque::from(chunks);
    let is_stream = shape::is_stream(content_type);
    let body = if is_stream {
        let held = Held::Bytes(response::size(&chunks));
        Body::stream(stream::iter(chunks), Some(held))
    } else {
        Body::known(chunks)
    };
    let mut response = Response::new(body);
    response::set_status(&mut response, head.status);
    headers.insert(shape::JOB_ID, shape::job_header(job.id));
    headers.insert(shape::ATTEMPT, shape::attempt(job.progress.attempt));
    headers.insert(shape::QUEUE_MS, shape::millis(job.queued()));
    if let Some(failure) = &job.failure
        && job.progress.state == JobState::Failed
    {
        shape::mark_failure(&mut headers, failure);
    }
    *response.headers_mut() = headers;
    response
}
