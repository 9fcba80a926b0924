//! What is noted of a request when it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use foreman_job::JobId;
use foreman_ollama::TargetError;
use http::{Method, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use crate::app::App;
use crate::caps::OpenRequest;
use crate::deliveries::Delivery;
use crate::io::Wishes;
use crate::metrics::Counted;
use crate::response::Body;
use crate::router::Class;

/// The target of the lines of requests that ended, which are by far the most.
pub const REQUEST_LINES: &str = module_path!();

/// What is noted of a request; written when it is dropped, since callers leave at any time.
pub(crate) struct Record {
    app: Arc<App>,
    wishes: Arc<Wishes>,
    method: Method,
    class: Class,
    began: Instant,
    caller: Option<Arc<str>>,
    open: Option<OpenRequest>,
    status: Option<StatusCode>,
    job: Option<JobId>,
    complete: bool,
}

impl Record {
    pub(crate) fn begin(app: Arc<App>, wishes: Arc<Wishes>, method: Method, class: Class) -> Self {
        Self {
            app,
            wishes,
            method,
            class,
            began: Instant::now(),
            caller: None,
            open: None,
            status: None,
            job: None,
            complete: false,
        }
    }

    pub(crate) fn set_caller(&mut self, caller: Option<Arc<str>>) {
        self.caller = caller;
    }

    /// Keeps the request counted as open until its answer has ended.
    pub(crate) fn keep_open(&mut self, open: Option<OpenRequest>) {
        self.open = open;
    }

    /// Notes that the request met a defect.
    pub(crate) fn panicked(&self) {
        self.app.metrics.panicked();
    }

    /// Notes the head of the answer, which begins now, and follows its body to the end.
    pub(crate) fn follow(mut self, response: http::Response<Body>) -> http::Response<Recorded> {
        self.wishes.begin_answer();
        self.status = Some(response.status());
        self.job = response.extensions().get::<JobId>().copied();
        self.complete = response.body().is_end_stream() || self.method == Method::HEAD;
        let open = !self.complete && response.body().comes_in_pieces();
        let stream = open.then(|| self.app.metrics.open_stream());
        let held = response.body().held();
        let delivery = held.map(|held| self.app.deliveries.begin(held, self.wishes.rest()));
        response.map(|body| {
            Recorded(Box::new(Given {
                body,
                record: self,
                delivery,
                _stream: stream,
            }))
        })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.wishes.end_answer();
        let took = self.began.elapsed();
        self.app.metrics.ended(self.class, self.status, took);
        tracing::info!(
            http.method = known(&self.method),
            http.route = self.class.as_str(),
            http.status = self.status.map(|status| status.as_u16()),
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            job.id = self.job.map(tracing::field::display),
            caller = self.caller.as_deref(),
            complete = self.complete,
            "request ended"
        );
    }
}

/// Returns the name of a method; those that callers make up are not written anywhere.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A body whose end is noted. Boxed, since hyper keeps room for one beside each waiting caller.
pub(crate) struct Recorded(Box<Given>);

/// A body that is given.
struct Given {
    body: Body,
    record: Record,
    /// Counts what it holds in memory until it is given.
    delivery: Option<Delivery>,
    /// Counts it while it is given to the caller, where it comes in pieces.
    _stream: Option<Counted>,
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = TargetError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TargetError>>> {
        let given = &mut *self.0;
        let polled = Pin::new(&mut given.body).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => given.record.complete = true,
            // Hyper asks no more once the announced length is there.
            Poll::Ready(Some(Ok(_))) => {
                if let Some(delivery) = &given.delivery {
                    delivery.took(given.body.left());
                }
                given.record.complete = given.body.is_end_stream();
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.body.size_hint()
    }
}
