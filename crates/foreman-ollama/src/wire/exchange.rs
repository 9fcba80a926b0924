//! One request and its response head on one connection.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::client::TargetResponse;
use crate::config::Deadlines;
use crate::error::{ErrorKind, TargetError};
use crate::headers;
use crate::stream::{TargetStream, Waits};
use crate::wire::alarm::Alarm;
use crate::wire::body::WireBody;
use crate::wire::failure;
use crate::wire::pool::{Connection, Driver, Pool};
use crate::wire::upload::{RequestBody, UploadWatch};

/// An exchange that brought no response head.
pub(super) struct Failure {
    pub(super) error: TargetError,
    /// Whether the connection ended without a byte of an answer.
    pub(super) silent_end: bool,
}

/// When the request was out of the house.
pub(super) enum SentClock {
    At(Instant),
    AfterUpload(UploadWatch),
}

impl SentClock {
    async fn sent(&mut self) -> Instant {
        match self {
            Self::At(at) => *at,
            Self::AfterUpload(watch) => watch.sent().await,
        }
    }

    fn sent_at(&self) -> Instant {
        match self {
            Self::At(at) => *at,
            Self::AfterUpload(watch) => watch.sent_at().unwrap_or_else(Instant::now),
        }
    }
}

/// What an exchange needs besides its connection and its request.
pub(super) struct Exchange {
    pub(super) deadlines: Deadlines,
    pub(super) clock: SentClock,
    pub(super) doing: Arc<str>,
    pub(super) pool: Arc<Pool>,
}

impl Exchange {
    /// Sends the request and waits for the head of its answer.
    pub(super) fn run(
        mut self,
        mut connection: Connection,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<TargetResponse, Failure>> {
        let before = connection.received.count();
        // In its box: it has room for the request until an answer is there.
        let mut sending = Box::pin(connection.sender.send_request(request));
        async move {
            let Connection { driver, alarm, .. } = &mut connection;
            match self.until_head(sending.as_mut(), driver, alarm).await {
                Some(Ok(response)) => Ok(self.respond(connection, response)),
                Some(Err(error)) => {
                    let silent_end = !error.is_parse() && connection.received.count() == before;
                    Err(Failure {
                        error: self.explain(error),
                        silent_end,
                    })
                }
                None => Err(Failure {
                    error: TargetError::new(ErrorKind::FirstByteTimeout, self.doing),
                    silent_end: false,
                }),
            }
        }
    }

    async fn until_head<F: Future>(
        &mut self,
        mut sending: Pin<&mut F>,
        driver: &mut Driver,
        alarm: &mut Alarm,
    ) -> Option<F::Output> {
        let limit = self.deadlines.first_byte;
        let clock = &mut self.clock;
        let expired = async move {
            match limit {
                Some(limit) => match clock.sent().await.checked_add(limit) {
                    Some(until) => poll_fn(|cx| alarm.poll(cx, until)).await,
                    None => pending().await,
                },
                None => pending().await,
            }
        };
        tokio::select! {
            // An answer that is there wins over a deadline that passed meanwhile.
            biased;
            answer = poll_fn(|cx| driver.poll(cx, |cx| sending.as_mut().poll(cx))) => Some(answer),
            () = expired => None,
        }
    }

    fn respond(self, connection: Connection, response: Response<Incoming>) -> TargetResponse {
        let (mut head, incoming) = response.into_parts();
        headers::strip_hop_by_hop(&mut head.headers);
        // One clock for head and first byte: a 200 that is followed by nothing is no answer yet.
        let first_until = match self.deadlines.first_byte {
            Some(limit) if head.status.is_success() => self.clock.sent_at().checked_add(limit),
            Some(_) | None => None,
        };
        let upload = match self.clock {
            SentClock::At(_) => None,
            SentClock::AfterUpload(watch) => Some(watch),
        };
        let body = WireBody::new(
            incoming,
            connection,
            self.pool,
            upload,
            Arc::clone(&self.doing),
        );
        let waits = Waits::new(first_until, self.deadlines.idle);
        TargetResponse {
            status: head.status,
            headers: head.headers,
            body: TargetStream::new(body.boxed(), waits, self.doing),
        }
    }

    fn explain(&self, error: hyper::Error) -> TargetError {
        let doing = Arc::clone(&self.doing);
        if let SentClock::AfterUpload(watch) = &self.clock
            && let Some(cause) = watch.failure()
        {
            return TargetError::new(ErrorKind::RequestBody, doing).with_source(cause);
        }
        TargetError::new(failure::before_head(&error), doing).with_source(error)
    }
}
