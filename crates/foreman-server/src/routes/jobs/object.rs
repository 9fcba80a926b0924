//! A job as callers see it.

use std::time::Duration;

use foreman_job::{Endpoint, Job, JobFailure, JobId, JobState, Priority, Timestamp, Usage};
use http::header::{self, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use super::estimate::Estimate;
use crate::app::App;
use crate::response::{self, Response};
use crate::shape;

/// A job as callers see it.
#[derive(Debug, Serialize)]
pub(crate) struct JobObject {
    id: JobId,
    endpoint: &'static str,
    model: String,
    state: JobState,
    priority: Priority,
    caller: Option<String>,
    created_at: Timestamp,
    claimed_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    attempt: u32,
    max_attempts: u32,
    retry_at: Option<Timestamp>,
    position: Option<u64>,
    eta_seconds: Option<f64>,
    cancel_requested: bool,
    status: Option<u16>,
    error: Option<ErrorObject>,
    usage: Option<UsageObject>,
    queue_ms: Option<u64>,
    retry_of: Option<JobId>,
    metadata: Option<Box<RawValue>>,
}

/// Why a job failed, or why its last attempt did.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorObject {
    code: &'static str,
    message: String,
    source: &'static str,
    transient: bool,
}

#[derive(Debug, Serialize)]
struct UsageObject {
    prompt_tokens: u64,
    completion_tokens: u64,
    load_ms: u64,
    total_ms: u64,
}

impl JobObject {
    pub(crate) fn new(app: &App, job: Job, estimate: Estimate) -> Self {
        let until = job.claimed_at.or(job.finished_at);
        let waited = until.map(|until| until.since(job.created_at).as_millis());
        Self {
            id: job.id,
            endpoint: Endpoint::path(job.endpoint),
            model: job.model,
            state: job.progress.state,
            priority: job.priority,
            caller: job.caller,
            created_at: job.created_at,
            claimed_at: job.claimed_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            not_before: job.not_before,
            expires_at: job.expires_at,
            attempt: job.progress.attempt,
            max_attempts: app.scheduler.max_attempts(),
            // A job that waits for its own time was never tried.
            retry_at: job
                .progress
                .retry_at
                .filter(|at| job.not_before != Some(*at)),
            position: estimate.position,
            eta_seconds: estimate.eta_seconds,
            cancel_requested: job.progress.cancel_requested,
            status: job.target_status,
            error: job.failure.as_ref().map(ErrorObject::new),
            usage: job.usage.map(UsageObject::new),
            queue_ms: waited.map(|waited| u64::try_from(waited).unwrap_or(u64::MAX)),
            retry_of: job.retry_of,
            metadata: job
                .metadata
                .and_then(|text| RawValue::from_string(text).ok()),
        }
    }
}

impl ErrorObject {
    pub(crate) fn new(failure: &JobFailure) -> Self {
        Self {
            code: failure.kind.code(),
            message: failure.message.clone(),
            source: failure.kind.source().as_str(),
            transient: failure.kind.is_transient(),
        }
    }
}

impl UsageObject {
    fn new(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            load_ms: millis(usage.load),
            total_ms: millis(usage.total),
        }
    }
}

/// Describes a job.
pub(crate) async fn describe(app: &App, job: Job) -> JobObject {
    let estimate = Estimate::of(app, &job).await;
    JobObject::new(app, job, estimate)
}

/// Describes several jobs.
pub(crate) async fn describe_all(app: &App, jobs: Vec<Job>) -> impl Iterator<Item = JobObject> {
    let estimates = Estimate::of_all(app, &jobs).await;
    let each = jobs.into_iter().zip(estimates);
    each.map(|(job, estimate)| JobObject::new(app, job, estimate))
}

/// Answers with a job.
pub(crate) async fn answer(app: &App, status: u16, job: Job) -> Response {
    let id = job.id;
    let mut response = response::json(status, text(&describe(app, job).await));
    response
        .headers_mut()
        .insert(shape::JOB_ID, shape::job_header(id));
    response.extensions_mut().insert(id);
    response
}

/// Answers with a job that was made just now, or by an earlier request.
pub(crate) async fn made(app: &App, status: u16, job: Job) -> Response {
    let id = job.id;
    let mut response = answer(app, status, job).await;
    if let Ok(place) = HeaderValue::from_str(&format!("/foreman/v1/jobs/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// Writes a job behind other text.
pub(super) fn write(text: &mut Vec<u8>, job: &JobObject) {
    // It has no part that could not be written.
    let _written = serde_json::to_writer(text, job);
}

/// Writes what has no part that could not be written.
pub(crate) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
