//! Requests that are passed through to the target.

use std::error::Error;
use std::fmt::Write;

use bytes::Bytes;
use foreman_ollama::{Deadlines, TargetBody, TargetError, TargetRequest, TargetResponse};
use http::request::Parts;

use crate::app::{App, Call};
use crate::changes::OpenChange;
use crate::error::ApiError;
use crate::request;
use crate::response::{Body, Response};

/// Passes a request through, both bodies as they come.
pub(crate) async fn pass(call: Call, deadlines: Deadlines) -> Result<TargetResponse, ApiError> {
    let (head, body) = call.request.into_parts();
    let app = &call.app;
    // Boxed: it is over when the target has the request.
    let body = Box::pin(request::forwardable(body, app, &call.wishes)).await?;
    send(app, head, body, deadlines).await
}

/// Passes a request through whose body was read already.
pub(crate) async fn pass_read(app: &App, head: &Parts, body: Bytes) -> Result<Response, ApiError> {
    let body = TargetBody::Full(body);
    let response = send(app, head.clone(), body, Deadlines::UNLIMITED).await?;
    Ok(answer(response, None))
}

/// Sends a request. Its parts go where they are needed before anything is waited for.
fn send(
    app: &App,
    head: Parts,
    body: TargetBody,
    deadlines: Deadlines,
) -> impl Future<Output = Result<TargetResponse, ApiError>> + Send {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = TargetRequest {
        path_and_query: path.to_owned(),
        method: head.method,
        headers: head.headers,
        body,
        deadlines,
    };
    let answer = app.client.forward(request);
    async move {
        answer.await.map_err(|error| {
            note(app, &error);
            ApiError::target(&error)
        })
    }
}

/// Makes the caller's answer of the target's.
pub(crate) fn answer(response: TargetResponse, change: Option<OpenChange>) -> Response {
    let mut answer = Response::new(Body::target(response.body, change));
    *answer.status_mut() = response.status;
    *answer.headers_mut() = response.headers;
    answer
}

/// Takes a failed exchange as evidence about the target.
fn note(app: &App, error: &TargetError) {
    tracing::warn!(error = chain(error), "target did not answer");
    app.inventory.note_unreachable(error);
}

/// Writes an error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string does not fail.
        let _written = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
