//! The body of an answer while it comes from the target.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use tokio::time::{Instant, Sleep};

use crate::error::{ErrorKind, TargetError};

/// Time given to a body whose deadline passed before anybody looked at it.
///
/// The wire is read only while somebody asks, so a late first look says nothing about the target.
const LATE_LOOK: Duration = Duration::from_secs(1);

/// The chunks of an answer, as they come.
///
/// Dropping it before its end closes the connection, which makes the target stop. Trailers are
/// dropped. After an error it is at its end.
pub struct TargetStream {
    body: BoxBody<Bytes, TargetError>,
    waits: Waits,
    doing: Arc<str>,
    ended: bool,
}

impl TargetStream {
    /// Wraps a body that no deadline watches.
    pub fn from_body(body: BoxBody<Bytes, TargetError>) -> Self {
        Self::new(body, Waits::default(), Arc::from("answer"))
    }

    pub(crate) fn new(body: BoxBody<Bytes, TargetError>, waits: Waits, doing: Arc<str>) -> Self {
        Self {
            body,
            waits,
            doing,
            ended: false,
        }
    }

    /// Waits for the next chunk; `None` is the proper end of the body.
    ///
    /// # Errors
    ///
    /// A body that stops early or breaks its framing, and silence beyond the deadline.
    ///
    /// # Cancel safety
    ///
    /// No chunk is lost when the future is dropped.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, TargetError>> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Reads the rest of the body.
    ///
    /// # Errors
    ///
    /// As [`chunk`](Self::chunk), and a body of more than `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, TargetError> {
        let Some(first) = self.chunk().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let mut whole = BytesMut::from(first);
        while let Some(chunk) = self.chunk().await.transpose()? {
            if whole.len().saturating_add(chunk.len()) > limit {
                break;
            }
            whole.extend_from_slice(&chunk);
        }
        if self.ended && whole.len() <= limit {
            return Ok(whole.freeze());
        }
        let error = TargetError::new(ErrorKind::InvalidResponse, Arc::clone(&self.doing));
        Err(error.with_source(format!("body of more than {limit} bytes")))
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TargetError>>> {
        while !self.ended {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        self.waits.received();
                        return Poll::Ready(Some(Ok(data)));
                    }
                    Ok(_) | Err(_) => {}
                },
                Poll::Ready(Some(Err(error))) => {
                    self.end();
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => self.end(),
                Poll::Pending => {
                    let kind = ready!(self.waits.poll_expired(cx));
                    self.end();
                    let error = TargetError::new(kind, Arc::clone(&self.doing));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }

    /// Lets go of the connection: it is reused after a proper end, else closed.
    fn end(&mut self) {
        self.ended = true;
        self.body = Empty::new().map_err(|never| match never {}).boxed();
    }
}

impl Body for TargetStream {
    type Data = Bytes;
    type Error = TargetError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TargetError>>> {
        self.poll_chunk(cx)
            .map(|chunk| chunk.map(|result| result.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for TargetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetStream")
            .field("doing", &self.doing)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// How long the stream may be silent, and since when it is.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// Deadline of the first chunk; `None` once it came, or when it has none.
    first_until: Option<Instant>,
    idle: Option<Duration>,
    received_any: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the timer runs for the present silence.
    armed: bool,
}

impl Waits {
    pub(crate) fn new(first_until: Option<Instant>, idle: Option<Duration>) -> Self {
        Self {
            first_until,
            idle,
            ..Self::default()
        }
    }

    fn received(&mut self) {
        self.received_any = true;
        self.armed = false;
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<ErrorKind> {
        if !self.armed {
            let Some(until) = self.until() else {
                return Poll::Pending;
            };
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(until),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(until))),
            }
            self.armed = true;
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| self.kind()),
            None => Poll::Pending,
        }
    }

    /// Returns when the silence that begins now is too long.
    ///
    /// The clock between chunks starts when somebody waits, not when the last chunk came: a slow
    /// reader must not look like a silent target.
    fn until(&self) -> Option<Instant> {
        let now = Instant::now();
        match self.first_until {
            Some(until) if !self.received_any => Some(if until <= now {
                now.checked_add(LATE_LOOK)?
            } else {
                until
            }),
            _ => now.checked_add(self.idle?),
        }
    }

    fn kind(&self) -> ErrorKind {
        if self.first_until.is_some() && !self.received_any {
            ErrorKind::FirstByteTimeout
        } else {
            ErrorKind::IdleTimeout
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_can_be_sent_between_threads() {
        fn check<T: Send + Sync + Unpin>() {}

        check::<TargetStream>();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_comes_late_does_not_blame_the_target() {
        let fake = crate::fake::FakeOllama::new();
        let reply = crate::fake::FakeReply::ndjson(&["{}", "{}"]).pause(LATE_LOOK);
        fake.queue("/x", reply.chunk("end"));
        let limit = crate::config::Deadlines::both(LATE_LOOK * 2);
        let request = crate::client::TargetRequest::get("/x", limit);
        let response = crate::client::OllamaClient::forward(&fake, request).await;
        let mut body = response.unwrap().body;

        for chunk in ["{}\n", "{}\n", "end"] {
            tokio::time::advance(LATE_LOOK * 10).await;
            assert_eq!(body.chunk().await.unwrap().unwrap(), chunk);
        }
        assert!(body.chunk().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_beyond_the_deadline_is_an_error_and_the_end() {
        let fake = crate::fake::FakeOllama::new();
        fake.queue("/x", crate::fake::FakeReply::ndjson(&["{}"]).hang());
        let limit = crate::config::Deadlines::both(LATE_LOOK);
        let request = crate::client::TargetRequest::get("/x", limit);
        let response = crate::client::OllamaClient::forward(&fake, request).await;
        let mut body = response.unwrap().body;
        body.chunk().await.unwrap().unwrap();

        let error = body.chunk().await.unwrap().unwrap_err();

        assert_eq!(error.kind(), ErrorKind::IdleTimeout);
        assert!(body.chunk().await.is_none());
        assert_eq!(fake.dropped(), 1);
    }
}
