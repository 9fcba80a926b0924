//! Foreman's own pages: the greeting, health and figures.

use foreman_job::Timestamp;
use foreman_store::StoreHealth;
use serde_json::{Value, json};

use crate::app::{App, Call};
use crate::error::ApiError;
use crate::fault::Fault;
use crate::response::{self, Response};
use crate::router::OwnRoute;
use crate::routes::{openapi, queue};
use crate::{json as text, metrics};

const PROMETHEUS_TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn answer(route: OwnRoute, call: Call) -> Result<Response, ApiError> {
    let app = &call.app;
    match route {
        // Clients probe for this very text.
        OwnRoute::Root => Ok(response::text(
            200,
            "text/plain; charset=utf-8",
            "Ollama is running",
        )),
        OwnRoute::Healthz => Ok(health(app).await),
        OwnRoute::Readyz => Ok(ready(app)),
        OwnRoute::Metrics => figures(app).await,
        OwnRoute::OpenApi => Ok(openapi::answer()),
        OwnRoute::Queue => queue::answer(call).await,
        OwnRoute::Steer(steer) => queue::steer(steer, call).await,
        OwnRoute::NotFound => {
            let path = text::string(call.request.uri().path());
            let message = format!("nothing is at {path}");
            Err(ApiError::new(Fault::NotFound, message))
        }
    }
}

/// Tells why foreman cannot do its own work, if so.
fn trouble(app: &App) -> Option<&'static str> {
    if app.draining.is_cancelled() {
        return Some("shutting down");
    }
    match &*app.scheduler.store().health().borrow() {
        StoreHealth::Ok | StoreHealth::IntakeClosed { .. } => None,
        StoreHealth::Failed { .. } => Some("store failed"),
    }
}

fn ready(app: &App) -> Response {
    match trouble(app) {
        None => response::json(200, r#"{"ready":true}"#),
        Some(reason) => response::json(503, json!({"ready": false, "reason": reason}).to_string()),
    }
}

async fn health(app: &App) -> Response {
    let snapshot = app.inventory.snapshot();
    let reachable = snapshot.last_poll.is_some() && !snapshot.degraded;
    let trouble = trouble(app);
    let status = match (trouble, reachable) {
        (Some(_), _) => "unavailable",
        (None, true) => "ok",
        (None, false) => "degraded",
    };
    let body = json!({
        "status": status,
        "target": {
            "reachable": reachable,
            "degraded": snapshot.degraded,
            "last_poll": snapshot.last_poll.map(|time| time.to_string()),
            "since": snapshot.since.to_string(),
            "version": target_version(snapshot.version.as_ref().map(|answer| &answer.body[..])),
            "error": snapshot.last_error,
            "resident": resident(app),
        },
        "queue": queue(app).await,
        "store": store(app),
        "reason": trouble,
        "version": app.config.version,
    });
    let code = if trouble.is_some() { 503 } else { 200 };
    response::json(code, body.to_string())
}

fn target_version(body: Option<&[u8]>) -> Option<String> {
    let value: Value = serde_json::from_slice(body?).ok()?;
    Some(value.get("version")?.as_str()?.to_owned())
}

/// The models that were loaded at the last poll.
pub(super) fn resident(app: &App) -> Vec<String> {
    let snapshot = app.inventory.snapshot();
    let names = snapshot.resident.iter().map(|model| &model.name);
    names.cloned().collect()
}

pub(super) async fn queue(app: &App) -> Value {
    let counts = app.scheduler.store().counts();
    let oldest = oldest(app).await;
    let age = oldest.map(|oldest| app.clock.now().since(oldest).as_secs());
    let status = app.scheduler.status();
    let running = status.running.map(
        |job| json!({"id": job.id, "model": job.model, "state": job.state, "since": job.since}),
    );
    json!({
        "queued": counts.queued,
        "loading": counts.loading,
        "working": counts.working,
        "oldest_age_seconds": age,
        "running": running,
        "swaps": status.swaps,
        "swaps_avoided": status.swaps_avoided,
    })
}

fn store(app: &App) -> Value {
    match &*app.scheduler.store().health().borrow() {
        StoreHealth::Ok => json!({"status": "ok"}),
        StoreHealth::IntakeClosed { reason } => {
            json!({"status": "intake_closed", "reason": reason})
        }
        StoreHealth::Failed { reason } => json!({"status": "failed", "reason": reason}),
    }
}

async fn oldest(app: &App) -> Option<Timestamp> {
    match app.scheduler.store().oldest_queued().await {
        Ok(oldest) => oldest,
        Err(error) => {
            tracing::debug!(%error, "cannot read the oldest waiting job");
            None
        }
    }
}

async fn figures(app: &App) -> Result<Response, ApiError> {
    let counts = app.scheduler.store().counts();
    let oldest = oldest(app).await;
    let now = app.clock.now();
    let snapshot = app.inventory.snapshot();
    app.metrics.observe(now, counts, oldest, &snapshot);
    app.metrics.observe_depths(&queue::by_model(app));
    let text = metrics::text(&app.registry).map_err(|_| ApiError::internal())?;
    Ok(response::text(200, PROMETHEUS_TEXT, text))
}
