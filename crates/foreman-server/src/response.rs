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

/// A response with its body.
pub(crate) type Response = http::Response<Body>;

/// The body of a response.
pub(crate) enum Body {
    /// Chunks that are all there.
    Known { chunks: VecDeque<Bytes>, left: u64 },
    /// The output of a job, chunk by chunk; it never fails, but ends with a line that says so.
    Job(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
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
        let left = chunks.iter().map(length).sum();
        Self::Known { chunks, left }
    }

    /// Tells whether it is made while it is sent.
    pub(crate) const fn comes_in_pieces(&self) -> bool {
        match self {
            Self::Known { .. } => false,
            Self::Job(_) | Self::Target { .. } => true,
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
            Self::Job(output) => output
                .as_mut()
                .poll_next(cx)
                .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
            Self::Target { stream, broken, .. } => poll_target(stream, broken, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Known { chunks, .. } => chunks.is_empty(),
            Self::Job(_) => false,
            Self::Target { stream, broken, .. } => broken.is_none() && stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Known { left, .. } => SizeHint::with_exact(*left),
            Self::Job(_) => SizeHint::default(),
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
