//! What a request asks for, and whether the target can do it.

use bytes::Bytes;
use foreman_job::Endpoint;
use foreman_ollama::{ModelName, Rejection, RequestHead, Shape, scan, scan_form, unknown_model};
use foreman_scheduler::api_of;
use http::header::{self, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::app::App;
use crate::decode;
use crate::response::{self, Response};

/// Where a model runs, as far as foreman knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the target itself.
    Here,
    /// Somewhere else, through the target: it takes no slot.
    Elsewhere,
    /// The target does not have it.
    Nowhere,
}

/// Why a request is not to become a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoJob {
    /// The target would refuse it.
    Refused(Box<Rejection>),
    /// The target hands it on before it would find what is wrong.
    Elsewhere,
}

/// Reads what the body asks for; refuses what the target would refuse.
pub(super) async fn read(
    app: &App,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<RequestHead, NoJob> {
    let rejection = match scanned(endpoint, headers, body) {
        Ok(wish) => return Ok(wish),
        Err(rejection) => Box::new(rejection),
    };
    Err(Box::pin(no_job(app, endpoint, rejection)).await)
}

async fn no_job(app: &App, endpoint: Endpoint, rejection: Box<Rejection>) -> NoJob {
    let api = api_of(endpoint);
    let Some(model) = &rejection.after_model else {
        return NoJob::Refused(rejection);
    };
    // The target looks the model up before it finds this fault.
    let place = match ModelName::parse(model) {
        Ok(name) => place(app, &name).await,
        Err(_) => Place::Here,
    };
    match place {
        Place::Here => NoJob::Refused(rejection),
        Place::Elsewhere => NoJob::Elsewhere,
        Place::Nowhere => NoJob::Refused(Box::new(unknown_model(api, model))),
    }
}

/// Reads the body without waiting for anything, so that what was decoded is gone at once.
fn scanned(
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<RequestHead, Rejection> {
    let body = decode::decoded(endpoint, headers, body);
    if endpoint == Endpoint::V1AudioTranscriptions {
        let content_type = headers.get(CONTENT_TYPE);
        scan_form(content_type.and_then(|it| it.to_str().ok()), &body)
    } else {
        scan(api_of(endpoint), &body)
    }
}

/// Tells whether the body is a form and no JSON.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"))
}

/// Finds out where a model runs; asks the target once when it is not known.
pub(super) async fn place(app: &App, name: &ModelName) -> Place {
    if name.is_cloud() {
        return Place::Elsewhere;
    }
    let known = app.inventory.snapshot();
    if let Some(model) = known.lookup(name) {
        return if model.remote {
            Place::Elsewhere
        } else {
            Place::Here
        };
    }
    match Box::pin(app.inventory.refresh()).await {
        Ok(fresh) => match fresh.lookup(name) {
            Some(model) if model.remote => Place::Elsewhere,
            Some(_) => Place::Here,
            None => Place::Nowhere,
        },
        // Nobody ever saw what the target has: the job waits, and the target will say.
        Err(_) if known.tags.is_none() => Place::Here,
        Err(_) => Place::Nowhere,
    }
}

/// Answers as the target would.
pub(super) fn refusal(app: &App, rejection: &Rejection) -> Response {
    let body = if rejection.shape == Shape::Anthropic {
        rejection.body_with_request_id(&app.request_id())
    } else {
        rejection.body()
    };
    let mut response = response::text(rejection.status, rejection.content_type, body);
    if rejection.no_cache {
        let no_cache = HeaderValue::from_static("no-cache");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_cache);
    }
    response
}

/// Returns the content type of the answer that a request asks for.
pub(super) fn expected_type(endpoint: Endpoint, stream: bool) -> &'static str {
    match (api_of(endpoint).shape(), stream) {
        (Shape::Ollama, true) => "application/x-ndjson",
        (Shape::Ollama, false) => "application/json; charset=utf-8",
        (Shape::OpenAi | Shape::Anthropic, true) => "text/event-stream",
        (Shape::OpenAi | Shape::Anthropic, false) => "application/json",
    }
}
