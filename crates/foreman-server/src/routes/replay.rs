//! Answers that were given before, to a repeated request.

use std::collections::VecDeque;

use foreman_job::{Job, JobState};
use foreman_ollama::EndingDetector;
use foreman_scheduler::{api_of, from_stored};
use foreman_store::StoredAnswer;
use futures_util::stream;
use http::header::{self, HeaderName, HeaderValue};

use crate::app::App;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::response::{self, Body, Response};
use crate::shape::{self, Lines};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Gives the answer of a job that has ended.
pub(super) async fn answer(app: &App, job: &Job) -> Result<Response, ApiError> {
    let stored = app.scheduler.store().answer(job.id).await;
    let stored = stored.map_err(|error| ApiError::store(&error))?;
    match (stored, &job.failure, job.progress.state) {
        (Some(answer), ..) if !answer.chunks.is_empty() => Ok(replay(job, answer)),
        (_, Some(failure), JobState::Failed) => Err(ApiError::failed(failure).of_job(job.id)),
        (_, _, JobState::Cancelled) => {
            Err(ApiError::new(Fault::Cancelled, "the job was cancelled").of_job(job.id))
        }
        _ => {
            let message = "the answer was given before and is not kept any more";
            Err(ApiError::new(Fault::AnswerGone, message).of_job(job.id))
        }
    }
}

fn replay(job: &Job, answer: StoredAnswer) -> Response {
    let StoredAnswer { head, chunks, .. } = answer;
    let mut headers = from_stored(&head.headers);
    headers.remove(header::CONTENT_LENGTH);
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut chunks = VecDeque::from(chunks);
    let is_stream = shape::is_stream(content_type);
    if let Some(line) = missing_end(job, head.status, &chunks, content_type) {
        chunks.push_back(line.into());
    }
    let body = if is_stream {
        Body::Job(Box::pin(stream::iter(chunks)))
    } else {
        Body::known(chunks)
    };
    let mut response = Response::new(body);
    response::set_status(&mut response, head.status);
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    headers.insert(shape::JOB_ID, shape::job_header(job.id));
    headers.insert(shape::ATTEMPT, shape::attempt(job.progress.attempt));
    if let Some(failure) = &job.failure
        && job.progress.state == JobState::Failed
    {
        shape::mark_failure(&mut headers, failure);
    }
    *response.headers_mut() = headers;
    response.extensions_mut().insert(job.id);
    response
}

/// Returns the line that ends an answer which broke off.
fn missing_end(
    job: &Job,
    status: u16,
    chunks: &VecDeque<bytes::Bytes>,
    content_type: &str,
) -> Option<String> {
    let failure = job.failure.as_ref()?;
    if job.progress.state != JobState::Failed || !(200..300).contains(&status) {
        return None;
    }
    let mut detector = EndingDetector::new(api_of(job.endpoint), true);
    if chunks.iter().any(|chunk| detector.feed(chunk).is_some()) {
        return None;
    }
    let lines = Lines::of(job.endpoint.path(), Some(content_type));
    let last = chunks.back().map(|chunk| &chunk[..]).unwrap_or_default();
    let line = ApiError::failed(failure).last_line(lines, chunks.len());
    Some(format!("{}{line}", lines.separator(last)))
}
