//! The queue as a whole: how it is, and whether it goes on.

use std::collections::BTreeMap;

use foreman_job::Priority;
use foreman_ollama::ModelName;
use foreman_scheduler::{BreakerStatus, Paused, Scope};
use foreman_store::Depth;
use serde::Deserialize;
use serde_json::{Value, json};

use super::own;
use crate::app::{App, Call};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::io::Wishes;
use crate::query::Query;
use crate::request;
use crate::response::{self, Response};

/// A model's name and some spaces.
const MAX_BODY: u64 = 64 * 1024;

/// Paused models are remembered by their names, and names can be made up.
const MAX_PAUSED: usize = 1000;

/// What callers without a name are counted as.
const UNNAMED: &str = "anonymous";

/// Whether the queue is to stop or to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steer {
    /// Nothing new starts.
    Pause,
    /// It goes on.
    Resume,
}

/// The body of a request that steers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Which {
    /// Only this model.
    model: Option<String>,
}

pub(crate) async fn answer(call: Call) -> Result<Response, ApiError> {
    Query::read(call.request.uri().query())?.finish()?;
    Ok(response::json(200, describe(&call.app).await.to_string()))
}

pub(crate) async fn steer(steer: Steer, call: Call) -> Result<Response, ApiError> {
    let Call {
        app,
        caller,
        wishes,
        request,
    } = call;
    Query::read(request.uri().query())?.finish()?;
    may_steer(&caller)?;
    let name = read(request.into_body(), &app, &wishes).await?;
    if steer == Steer::Pause {
        let Paused { models, .. } = app.scheduler.paused();
        let is_new = |name: &ModelName| !models.iter().any(|it| it == name.canonical());
        if models.len() >= MAX_PAUSED && name.as_ref().is_some_and(is_new) {
            let message = "so many models are paused that no more can be";
            return Err(ApiError::new(Fault::BadRequest, message));
        }
    }
    let scope = name.as_ref().map_or(Scope::All, Scope::Model);
    let inventory = app.inventory.snapshot();
    let steered = match steer {
        Steer::Pause => app.scheduler.pause(scope, &inventory).await,
        Steer::Resume => app.scheduler.resume(scope).await,
    };
    steered.map_err(|error| ApiError::store(&error))?;
    Ok(response::json(200, describe(&app).await.to_string()))
}

/// Who may not go before others may not stop them either.
fn may_steer(caller: &Caller) -> Result<(), ApiError> {
    if caller.max_priority == Priority::High {
        return Ok(());
    }
    let message = "this token caps its priority, so it cannot stop the queue of others";
    Err(ApiError::new(Fault::Forbidden, message))
}

/// Reads which model is meant; none for all.
async fn read(
    body: hyper::body::Incoming,
    app: &App,
    wishes: &Wishes,
) -> Result<Option<ModelName>, ApiError> {
    let body = request::read(body, app.limits(MAX_BODY), wishes)
        .await?
        .bytes;
    if body.is_empty() {
        return Ok(None);
    }
    let bad = |message: String| ApiError::new(Fault::BadRequest, message);
    // An array of the right length would be read as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(bad("expected a JSON object".to_owned()));
    }
    let which: Which = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    which
        .model
        .map(|name| ModelName::parse(&name).map_err(|error| bad(format!("field model: {error}"))))
        .transpose()
}

async fn describe(app: &App) -> Value {
    let status = app.scheduler.status();
    let depths = app.scheduler.store().depths();
    let Paused { all, models } = app.scheduler.paused();
    let mut queue = own::queue(app).await;
    let more = json!({
        "by_model": by(&depths, |depth| canonical(&depth.model)),
        "by_priority": by(&depths, |depth| depth.priority.to_string()),
        "by_caller": by(&depths, |depth| caller(depth).to_owned()),
        "depth": groups(&depths),
        "resident": own::resident(app),
        "target": target(app, &status.breaker),
        "paused": {"all": all, "models": models},
    });
    if let (Value::Object(queue), Value::Object(more)) = (&mut queue, more) {
        queue.extend(more);
    }
    queue
}

/// Returns how many jobs wait for each model.
pub(super) fn by_model(app: &App) -> BTreeMap<String, u64> {
    let depths = app.scheduler.store().depths();
    by(&depths, |depth| canonical(&depth.model))
}

fn by(depths: &[Depth], name: impl Fn(&Depth) -> String) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for depth in depths {
        let sum: &mut u64 = sums.entry(name(depth)).or_default();
        *sum = sum.saturating_add(depth.jobs);
    }
    sums
}

/// The groups of jobs that have model, class and caller in common.
fn groups(depths: &[Depth]) -> Vec<Value> {
    let mut sums = BTreeMap::new();
    for depth in depths {
        let key = (canonical(&depth.model), depth.priority, &depth.caller);
        let sum: &mut u64 = sums.entry(key).or_default();
        *sum = sum.saturating_add(depth.jobs);
    }
    sums.into_iter()
        .map(|((model, priority, caller), queued)| {
            json!({"model": model, "priority": priority, "caller": caller, "queued": queued})
        })
        .collect()
}

fn caller(depth: &Depth) -> &str {
    depth.caller.as_deref().unwrap_or(UNNAMED)
}

/// Callers spell one model in several ways.
fn canonical(model: &str) -> String {
    ModelName::parse(model).map_or_else(|_| model.to_owned(), |name| name.canonical().to_owned())
}

fn target(app: &App, breaker: &BreakerStatus) -> Value {
    let snapshot = app.inventory.snapshot();
    let (is_open, reason) = match breaker {
        BreakerStatus::Closed => (false, None),
        BreakerStatus::Open { reason, .. } => (true, Some(reason)),
    };
    json!({
        "reachable": snapshot.last_poll.is_some() && !snapshot.degraded && !is_open,
        "degraded": snapshot.degraded,
        "since": snapshot.since.to_string(),
        "last_poll": snapshot.last_poll.map(|time| time.to_string()),
        "held": is_open,
        "reason": reason,
    })
}
