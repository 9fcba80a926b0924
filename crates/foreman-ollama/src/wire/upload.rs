//! The body of a request on its way out.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::BoxError;

/// The body of every request.
pub(super) enum RequestBody {
    /// All of it.
    Full(Full<Bytes>),
    /// Comes while it is sent.
    Stream(Upload),
}

/// A streamed body that remembers how it ended.
pub(super) struct Upload {
    body: BoxBody<Bytes, BoxError>,
    length: Option<u64>,
    seen: u64,
    sent: watch::Sender<Option<Instant>>,
    failure: Arc<Mutex<Option<BoxError>>>,
}

/// What the sender of the request learns of its upload.
pub(super) struct UploadWatch {
    sent: watch::Receiver<Option<Instant>>,
    failure: Arc<Mutex<Option<BoxError>>>,
}

impl Upload {
    pub(super) fn new(body: BoxBody<Bytes, BoxError>, length: Option<u64>) -> (Self, UploadWatch) {
        let (sent, watch) = watch::channel(None);
        let failure = Arc::new(Mutex::new(None));
        let upload = Self {
            body,
            length,
            seen: 0,
            sent,
            failure: Arc::clone(&failure),
        };
        let watch = UploadWatch {
            sent: watch,
            failure,
        };
        (upload, watch)
    }

    fn finish(&self) {
        self.sent.send_replace(Some(Instant::now()));
    }

    /// Keeps the cause for the one who sent the request; the connection only learns that it ends.
    fn fail(&self, cause: BoxError) -> BoxError {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
        self.finish();
        "the body of the request ended early".into()
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), BoxError> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.seen = self
            .seen
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        match self.length {
            Some(length) if self.seen > length => {
                Err(self.fail(format!("body is longer than its {length} bytes").into()))
            }
            Some(length) if self.seen == length => {
                self.finish();
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => Some(self.count(&frame).map(|()| frame)),
            Some(Err(error)) => Some(Err(self.fail(error))),
            None => match self.length {
                Some(length) if self.seen < length => {
                    let cause = format!("body ended after {} of {length} bytes", self.seen);
                    Some(Err(self.fail(cause.into())))
                }
                Some(_) | None => {
                    self.finish();
                    None
                }
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        match self.length {
            Some(length) => self.seen >= length,
            None => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.seen)),
            None => self.body.size_hint(),
        }
    }
}

impl UploadWatch {
    /// Waits until the body is out, and returns since when it is.
    pub(super) async fn sent(&mut self) -> Instant {
        match self.sent.wait_for(Option::is_some).await {
            Ok(sent) => sent.unwrap_or_else(Instant::now),
            // The connection let go of the body: nothing more will be sent.
            Err(_) => Instant::now(),
        }
    }

    /// Returns when the body was out, if it is.
    pub(super) fn sent_at(&self) -> Option<Instant> {
        *self.sent.borrow()
    }

    /// Takes the reason why the source of the body failed.
    pub(super) fn failure(&self) -> Option<BoxError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
