//! What is sent to callers.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use foreman_ollama::{TargetError, TargetStream};
use futures_util::Stream;
use http::header::{self, HeaderValue};
use http_body::{Body as _, Frame, SizeHint};

use crate::changes::OpenChange;
use crate::deliveries::Held;

/// What fits into the buffers of a connection anyway.
const SMALL: u64 = 64 * 1024;

/// A response with its body.
pub(crate) type Response = http::Response<Body>;

/// The body of a response.
pub(crate) enum Body {
    /// Chunks that are all there.
    Known { chunks: VecDeque<Bytes>, left: u64 },
    /// The output of a job, chunk by chunk; it never fails, but ends with a line that says so.
    Job {
        stream: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
        /// What it holds in memory, where that is worth the counting.
        held: Option<Held>,
    },
    /// What the target sends, as it comes.
    Target {
        stream: Box<TargetStream>,
        /// Why it broke off, until what came before is on its way.
        broken: Option<Box<TargetError>>,
        /// Dropped with the body: then the change is over.
        _change: Option<OpenChange>,
    },
}

impl Body {
    pub(crate) const fn empty() -> Self {
        Self::Known {
            chunks: VecDeque::new(),
            left: 0,
        }
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self::known(VecDeque::from([bytes.into()]))
    }

    pub(crate) fn known(chunks: VecDeque<Bytes>) -> Self {
        let left = size(&chunks);
        Self::Known { chunks, left }
    }

    /// Makes one of what comes, chunk by chunk.
    pub(crate) fn stream(
        stream: impl Stream<Item = Bytes> + Send + 'static,
        held: Option<Held>,
    ) -> Self {
        let stream = Box::pin(stream);
        Self::Job { stream, held }
    }

    /// Tells whether it is made while it is sent.
    pub(crate) const fn comes_in_pieces(&self) -> bool {
        match self {
            Self::Known { .. } => false,
            Self::Job { .. } | Self::Target { .. } => true,
        }
    }

    /// Returns what it holds in memory; none where nothing is worth the counting.
    pub(crate) fn held(&self) -> Option<Held> {
        match self {
            Self::Known { left, .. } => (*left > SMALL).then_some(Held::Bytes(*left)),
            Self::Job { held, .. } => held.clone(),
            // It is read from the target no faster than it is taken.
            Self::Target { .. } => None,
        }
    }

    /// Returns how much is left of it, where that is known.
    pub(crate) const fn left(&self) -> Option<u64> {
        match self {
            Self::Known { left, .. } => Some(*left),
            Self::Job { .. } | Self::Target { .. } => None,
        }
    }

    pub(crate) fn target(stream: TargetStream, change: Option<OpenChange>) -> Self {
        Self::Target {
            stream: Box::new(stream),
            broken: None,
            _change: change,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = TargetError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TargetError>>> {
        match self.get_mut() {
            Self::Known { chunks, left } => Poll::Ready(chunks.pop_front().map(|chunk| {
                *left = left.saturating_sub(length(&chunk));
                Ok(Frame::data(chunk))
            })),
            Self::Job { stream, .. } => stream
                .as_mut()
                .poll_next(cx)
                .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
            Self::Target { stream, broken, .. } => poll_target(stream, broken, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Known { chunks, .. } => chunks.is_empty(),
            Self::Job { .. } => false,
            Self::Target { stream, broken, .. } => broken.is_none() && stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Known { left, .. } => SizeHint::with_exact(*left),
            Self::Job { .. } => SizeHint::default(),
            Self::Target { stream, .. } => stream.size_hint(),
        }
    }
}

/// Passes on what the target sends. An end before its time is told at the next look only: hyper
/// drops what it has not sent when it hears of one.
fn poll_target(
    stream: &mut TargetStream,
    broken: &mut Option<Box<TargetError>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, TargetError>>> {
    if let Some(error) = broken.take() {
        return Poll::Ready(Some(Err(*error)));
    }
    match Pin::new(stream).poll_frame(cx) {
        Poll::Ready(Some(Err(error))) => {
            *broken = Some(Box::new(error));
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        polled @ (Poll::Ready(_) | Poll::Pending) => polled,
    }
}

/// Returns the bytes of chunks that are all there.
pub(crate) fn size(chunks: &VecDeque<Bytes>) -> u64 {
    chunks.iter().map(length).sum()
}

/// Makes a response of a text that is all there.
pub(crate) fn text(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::full(body));
    set_status(&mut response, status);
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Makes a JSON response.
pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Response {
    text(status, "application/json; charset=utf-8", body)
}

/// Makes a response without body.
pub(crate) fn empty(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    set_status(&mut response, status);
    response
}

/// Sets the status; a number that is none becomes 502, since only the target sends such.
pub(crate) fn set_status(response: &mut Response, status: u16) {
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_GATEWAY);
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
