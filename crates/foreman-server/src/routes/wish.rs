//! What a request asks for, and whether the target can do it.

use bytes::Bytes;
use foreman_job::Endpoint;
use foreman_ollama::{ModelName, Rejection, RequestHead, Shape, scan, unknown_model};
use foreman_scheduler::api_of;
use http::HeaderMap;

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

/// Reads what the body asks for; refuses what the target would refuse.
pub(super) async fn read(
    app: &App,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<RequestHead, Rejection> {
    let api = api_of(endpoint);
    let body = decode::decoded(endpoint, headers, body);
    let rejection = match scan(api, &body) {
        Ok(wish) => return Ok(wish),
        Err(rejection) => rejection,
    };
    let Some(model) = &rejection.after_model else {
        return Err(rejection);
    };
    // The target looks the model up before it finds this fault.
    match ModelName::parse(model) {
        Ok(name) if matches!(place(app, &name).await, Place::Nowhere) => {
            Err(unknown_model(api, model))
        }
        Ok(_) | Err(_) => Err(rejection),
    }
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
    match app.inventory.refresh().await {
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
    response::text(rejection.status, rejection.content_type, body)
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
