//! The changes of all jobs, as they happen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foreman_job::{JobId, JobState, Priority, Timestamp};
use foreman_scheduler::Transition;
use futures_util::stream;
use http::header::{self, HeaderMap, HeaderValue};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{is_visible, object, query};
use crate::app::Call;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::response::{self, Body, Response};

/// How often a sign of life is given where one is possible.
const BEAT: Duration = Duration::from_secs(15);

/// How the changes are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    ServerSent,
}

/// A change of a job's state.
#[derive(Debug, Serialize)]
struct Change<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    at: Timestamp,
    id: JobId,
    endpoint: &'static str,
    model: &'a str,
    caller: Option<&'a str>,
    priority: Priority,
    attempt: u32,
    from: Option<JobState>,
    state: JobState,
    reason: &'a str,
}

/// Tells that some changes went by unseen.
#[derive(Debug, Serialize)]
struct Missed {
    #[serde(rename = "type")]
    kind: &'static str,
    changes: u64,
}

struct Listener {
    changes: Receiver<Arc<Transition>>,
    caller: Caller,
    form: Form,
    draining: CancellationToken,
}

/// Answers with the changes from now on.
pub(super) fn answer(call: &Call) -> Result<Response, ApiError> {
    query(call)?.finish()?;
    let form = form(call.request.headers());
    let listener = Listener {
        changes: call.app.scheduler.transitions(),
        caller: call.caller.clone(),
        form,
        draining: call.app.draining.clone(),
    };
    let stream = stream::unfold(listener, async |mut listener| {
        let bytes = listener.next().await?;
        Some((bytes, listener))
    });
    let body = Body::stream(stream, None);
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static(match form {
        Form::Lines => "application/x-ndjson",
        Form::ServerSent => "text/event-stream",
    });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response::set_status(&mut response, 200);
    Ok(response)
}

impl Listener {
    /// Waits for the next change; none when foreman shuts down.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let change = tokio::select! {
                () = self.draining.cancelled() => return None,
                change = self.changes.recv() => change,
                () = tokio::time::sleep(BEAT), if self.form == Form::ServerSent => {
                    return Some(Bytes::from_static(b": waiting\n\n"));
                }
            };
            match change {
                Ok(change) if is_visible(&self.caller, &change.job) => {
                    return Some(self.written("state", &object::text(&told(&change))));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(changes)) => {
                    let kind = "missed";
                    let missed = Missed { kind, changes };
                    return Some(self.written(kind, &object::text(&missed)));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn written(&self, kind: &str, json: &str) -> Bytes {
        Bytes::from(match self.form {
            Form::Lines => format!("{json}\n"),
            Form::ServerSent => format!("event: {kind}\ndata: {json}\n\n"),
        })
    }
}

fn told(change: &Transition) -> Change<'_> {
    let job = &change.job;
    Change {
        kind: "state",
        at: change.at,
        id: job.id,
        endpoint: job.endpoint.path(),
        model: &job.model,
        caller: job.caller.as_deref(),
        priority: job.priority,
        attempt: job.progress.attempt,
        from: change.from,
        state: job.progress.state,
        reason: &change.reason,
    }
}

fn form(headers: &HeaderMap) -> Form {
    let accepts = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/event-stream"));
    if accepts {
        Form::ServerSent
    } else {
        Form::Lines
    }
}
