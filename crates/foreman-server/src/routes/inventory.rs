//! Lists of models and the version: the target's own bytes as of the last poll.

use std::sync::Arc;
use std::time::Duration;

use foreman_ollama::{Answer, InventorySnapshot, ModelName};
use http::header;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::live;
use crate::app::{App, Call};
use crate::error::ApiError;
use crate::fault::Fault;
use crate::json;
use crate::response::{self, Body, Response};
use crate::router::InventoryRoute;

/// How long a caller waits for a fresh poll when there is an older one to fall back on.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn answer(route: InventoryRoute, call: Call) -> Result<Response, ApiError> {
    if let InventoryRoute::Model(wanted) = &route
        && ModelName::parse(wanted).is_ok_and(|name| name.is_cloud())
    {
        return live::answer(call).await;
    }
    let app = &call.app;
    let mut snapshot = app.inventory.snapshot();
    if app.changes.any()
        && let Ok(Ok(fresh)) = timeout(PATIENCE, app.inventory.refresh()).await
    {
        snapshot = fresh;
    }
    if part(&route, &snapshot).is_none() {
        snapshot = ask(app).await?;
    }
    let Some(answer) = part(&route, &snapshot) else {
        let message = "the target has not answered this yet";
        return Err(ApiError::new(Fault::Internal, message));
    };
    match route {
        InventoryRoute::Tags | InventoryRoute::Version | InventoryRoute::Models => {
            Ok(as_it_came(answer))
        }
        InventoryRoute::Model(wanted) => Ok(one_model(answer, &wanted)),
    }
}

/// Asks the target, since nothing is known that could be told instead.
async fn ask(app: &App) -> Result<Arc<InventorySnapshot>, ApiError> {
    app.inventory
        .refresh()
        .await
        .map_err(|error| ApiError::target(&error))
}

fn part<'a>(route: &InventoryRoute, snapshot: &'a InventorySnapshot) -> Option<&'a Answer> {
    match route {
        InventoryRoute::Tags => snapshot.tags.as_ref(),
        InventoryRoute::Version => snapshot.version.as_ref(),
        InventoryRoute::Models | InventoryRoute::Model(_) => snapshot.v1_models.as_ref(),
    }
}

fn as_it_came(answer: &Answer) -> Response {
    let mut response = Response::new(Body::full(answer.body.clone()));
    *response.status_mut() = answer.status;
    if let Some(content_type) = answer.headers.get(header::CONTENT_TYPE) {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type.clone());
    }
    response
}

#[derive(Deserialize)]
struct Models<'a> {
    #[serde(borrow)]
    data: Vec<Model<'a>>,
}

/// One model of the list; numbers stay as they came.
#[derive(Deserialize)]
struct Model<'a> {
    id: String,
    #[serde(borrow)]
    object: &'a RawValue,
    #[serde(borrow)]
    created: &'a RawValue,
    #[serde(borrow)]
    owned_by: &'a RawValue,
}

fn one_model(list: &Answer, wanted: &str) -> Response {
    let name = match ModelName::parse(wanted) {
        Ok(name) => name,
        Err(error) => return refused(400, "invalid_request_error", &error.to_string()),
    };
    let models: Vec<Model<'_>> = serde_json::from_slice::<Models<'_>>(&list.body)
        .map(|list| list.data)
        .unwrap_or_default();
    let found = models
        .iter()
        .find(|model| ModelName::parse(&model.id).is_ok_and(|id| id == name));
    let Some(model) = found else {
        let shown = ModelName::shown(wanted).unwrap_or_else(|_| wanted.to_owned());
        let message = format!("model '{shown}' not found");
        return refused(404, "not_found_error", &message);
    };
    // The target gives the name back as the caller spelled it.
    let body = format!(
        "{{\"id\":{},\"object\":{},\"created\":{},\"owned_by\":{}}}\n",
        json::string(wanted),
        model.object,
        model.created,
        model.owned_by
    );
    response::text(200, "application/json", body)
}

fn refused(status: u16, kind: &str, message: &str) -> Response {
    let message = json::string(message);
    response::text(
        status,
        "application/json",
        format!(
            "{{\"error\":{{\"message\":{message},\"type\":\"{kind}\",\
             \"param\":null,\"code\":null}}}}\n"
        ),
    )
}
