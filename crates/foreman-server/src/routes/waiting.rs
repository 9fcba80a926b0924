//! Callers that wait at their jobs.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use foreman_job::{Endpoint, JobId};
use foreman_scheduler::{First, Opening, Output, Ticket, from_stored};
use http::header::{self, HeaderMap, HeaderValue};
use tokio::time::sleep;

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
    pub(super) signs: Signs,
}

/// Signs of life that a caller gets while it waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signs {
    /// How often it gets an interim response.
    pub(super) interim: Option<Duration>,
    /// How often its answer gets something to begin with, and the type of answer that the request
    /// asks for.
    pub(super) heartbeat: Option<(Duration, &'static str)>,
}

impl Waiting {
    /// Waits for the first byte of the answer, or for the end of the job.
    ///
    /// Boxed, so that what waits holds a pointer and nothing twice.
    pub(super) async fn answer(self: Box<Self>) -> Result<Response, ApiError> {
        let counted = self.app.metrics.waiting_caller();
        if let Some((beat, content_type)) = self.signs.heartbeat {
            let job = self.ticket.id();
            let lines = Lines::of(self.endpoint.path(), Some(content_type));
            let body = job_body::with_heartbeat(self.ticket, lines, beat, counted);
            return Ok(early_head(job, content_type, body));
        }
        self.wait().await;
        drop(counted);
        // Boxed: it is short, and waiting is long.
        Box::pin(self.begin()).await
    }

    /// Waits, and lets the caller know now and then that it has not been forgotten.
    async fn wait(&self) {
        let mut ready = pin!(self.ticket.ready());
        loop {
            let Some(period) = self.signs.interim else {
                return ready.await;
            };
            tokio::select! {
                biased;
                () = &mut ready => return,
                // Boxed: most callers that wait get none.
                () = Box::pin(sleep(period)) => self.wishes.send_interim(),
            }
        }
    }

    async fn begin(self: Box<Self>) -> Result<Response, ApiError> {
        let job = self.ticket.id();
        match self.ticket.first().await {
            First::Answer(opening, output) => Ok(head(self.endpoint, opening, output).await),
            First::Ended { ending, attempts } => Err(ApiError::ended(&ending, job, attempts)),
        }
    }
}

/// Makes the response of an answer that begins.
async fn head(endpoint: Endpoint, opening: Opening, output: Output) -> Response {
    let Opening {
        head,
        attempt,
        queued,
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
        Box::pin(job_body::whole(output, lines)).await
    } else {
        job_body::streamed(output, lines)
    };
    headers.insert(shape::JOB_ID, shape::job_header(job));
    headers.insert(shape::ATTEMPT, shape::attempt(attempt));
    headers.insert(shape::QUEUE_MS, shape::millis(queued));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_waiting_caller_holds_little_room_beside_its_place() {
        let whole = size(Waiting::answer) + size_of::<Waiting>();

        // It was 336 when this was written.
        assert!(whole <= 400, "{whole}");
    }
}
