//! Callers that wait at their jobs.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use foreman_job::{Endpoint, JobId};
use foreman_scheduler::{First, Opening, Output, Ticket, from_stored};
use http::header::{self, HeaderMap, HeaderValue};
use tokio::time::{Instant, sleep};

use crate::app::App;
use crate::error::ApiError;
use crate::io::Wishes;
use crate::job_body;
use crate::response::{self, Body, Response};
use crate::shape::{self, Lines};

/// A caller that waits at its job. Ten thousand of these are an ordinary day, so they are small.
pub(super) struct Waiting {
    pub(super) app: Arc<App>,
    pub(super) wishes: Arc<Wishes>,
    pub(super) ticket: Ticket,
    pub(super) endpoint: Endpoint,
    pub(super) accepted: Instant,
    pub(super) interim: Option<Duration>,
    /// How often a sign of life is wanted, and the type of answer that the request asks for.
    pub(super) heartbeat: Option<(Duration, &'static str)>,
}

impl Waiting {
    /// Waits for the first byte of the answer, or for the end of the job.
    pub(super) async fn answer(self) -> Result<Response, ApiError> {
        let job = self.ticket.id();
        let counted = self.app.metrics.waiting_caller();
        if let Some((beat, content_type)) = self.heartbeat {
            let lines = Lines::of(self.endpoint.path(), Some(content_type));
            let body = job_body::with_heartbeat(self.ticket, lines, beat, counted);
            return Ok(early_head(job, content_type, body));
        }
        let first = wait(self.ticket, self.interim, &self.wishes).await;
        drop(counted);
        let now = Instant::now();
        self.app.pace.job_ended(now);
        match first {
            First::Answer(opening, output) => {
                let waited = now.saturating_duration_since(self.accepted);
                // Boxed: it is short, and waiting is long.
                Ok(Box::pin(head(self.endpoint, opening, output, waited)).await)
            }
            First::Ended { ending, attempts } => Err(ApiError::ended(&ending, job, attempts)),
        }
    }
}

/// Waits, and lets the caller know now and then that it has not been forgotten.
async fn wait(ticket: Ticket, interim: Option<Duration>, wishes: &Wishes) -> First {
    let mut first = pin!(ticket.first());
    loop {
        let Some(period) = interim else {
            return first.await;
        };
        tokio::select! {
            biased;
            first = &mut first => return first,
            () = sleep(period) => wishes.send_interim(),
        }
    }
}

/// Makes the response of an answer that begins.
async fn head(endpoint: Endpoint, opening: Opening, output: Output, waited: Duration) -> Response {
    let Opening {
        head,
        attempt,
        failure,
    } = opening;
    let job = output.id();
    let mut headers = from_stored(&head.headers);
    // The framing is this connection's own matter.
    headers.remove(header::CONTENT_LENGTH);
    let content_type = content_type(&headers);
    let lines = Lines::of(endpoint.path(), content_type);
    let comes_in_chunks = content_type.is_some_and(shape::is_stream);
    let body = if !comes_in_chunks && output.known_length().is_some() {
        job_body::whole(output, lines).await
    } else {
        job_body::streamed(output, lines)
    };
    headers.insert(shape::JOB_ID, shape::job_header(job));
    headers.insert(shape::ATTEMPT, shape::attempt(attempt));
    let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    headers.insert(shape::QUEUE_MS, waited.into());
    if let Some(failure) = &failure {
        shape::mark_failure(&mut headers, failure);
    }
    let mut response = Response::new(body);
    response::set_status(&mut response, head.status);
    *response.headers_mut() = headers;
    response.extensions_mut().insert(job);
    response
}

/// Makes the response of an answer that has not begun, for a caller that wants signs of life.
fn early_head(job: JobId, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(shape::JOB_ID, shape::job_header(job));
    response.extensions_mut().insert(job);
    response
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}
