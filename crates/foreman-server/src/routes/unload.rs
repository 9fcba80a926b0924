//! Requests to unload a model: they do not wait in the queue.

use bytes::Bytes;
use foreman_job::{Endpoint, RunnerKey};
use foreman_ollama::RequestHead;
use foreman_scheduler::Unload;
use http::request::Parts;

use crate::app::App;
use crate::error::ApiError;
use crate::response::{self, Response};
use crate::{json, target};

/// A request to unload a model.
pub(super) struct UnloadRequest<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) wish: &'a RequestHead,
    pub(super) runner: &'a RunnerKey,
    pub(super) head: &'a Parts,
    pub(super) body: Bytes,
}

/// Passes the request on when nothing needs the model, else answers it as the target would: it is
/// done when the drain ends.
pub(super) async fn answer(app: &App, request: UnloadRequest<'_>) -> Result<Response, ApiError> {
    let model = &request.wish.model;
    let unload = app.scheduler.unload(model, request.runner).await;
    match unload.map_err(|error| ApiError::store(&error))? {
        Unload::Now => target::pass_read(app, request.head, request.body).await,
        Unload::Deferred => {
            let now = app.clock.now();
            let content = if request.endpoint == Endpoint::Generate {
                r#""response":"""#
            } else {
                r#""message":{"role":"assistant","content":""}"#
            };
            let model = json::string(model);
            let body = format!(
                r#"{{"model":{model},"created_at":"{now}",{content},"done":true,"done_reason":"unload"}}"#
            );
            Ok(response::json(200, body))
        }
    }
}
