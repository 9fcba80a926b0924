//! The bodies of callers' requests.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use foreman_ollama::{BoxError, TargetBody};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::error::ApiError;
use crate::fault::Fault;
use crate::io::Wishes;

/// Smaller bodies are read before they are sent on, so that a pooled connection can carry them.
const SMALL: u64 = 64 * 1024;
/// Room made at once for a body of a known length; more comes with the bytes.
const FIRST_ROOM: u64 = 1024 * 1024;

/// Limits of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In all.
    pub(crate) size: u64,
    /// Between two pieces.
    pub(crate) idle: Duration,
}

/// Reads a body whole.
///
/// A length that is too large is refused before a byte is read.
pub(crate) async fn read(
    mut body: Incoming,
    limits: Limits,
    wishes: &Wishes,
) -> Result<Bytes, ApiError> {
    let announced = body.size_hint().exact();
    if announced.is_some_and(|length| length > limits.size) {
        wishes.linger();
        return Err(too_large(limits.size));
    }
    let mut first = None;
    let mut whole = BytesMut::new();
    let mut size = 0_u64;
    while let Some(chunk) = next(&mut body, limits.idle, wishes).await? {
        size = size.saturating_add(length(&chunk));
        if size > limits.size {
            wishes.linger();
            return Err(too_large(limits.size));
        }
        if first.is_none() && whole.is_empty() {
            if announced == Some(size) {
                return Ok(unpinned(chunk));
            }
            first = Some(chunk);
            continue;
        }
        if let Some(first) = first.take() {
            let room = announced.unwrap_or(0).min(FIRST_ROOM);
            whole.reserve(usize::try_from(room).unwrap_or(0));
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(first.map_or_else(|| whole.freeze(), unpinned))
}

/// Copies a small chunk, which would keep the whole buffer alive that it was read into.
fn unpinned(chunk: Bytes) -> Bytes {
    if length(&chunk) <= SMALL {
        Bytes::copy_from_slice(&chunk)
    } else {
        chunk
    }
}

/// Prepares a body to be sent on: small ones whole, large ones as they come.
///
/// The target notices that its client left only when it has seen the end of the body, so the end of
/// a small body must not come late: it is waited for here, also when the length is not announced.
pub(crate) async fn forwardable(
    mut body: Incoming,
    idle: Duration,
    wishes: &Wishes,
) -> Result<TargetBody, ApiError> {
    if body.is_end_stream() {
        return Ok(TargetBody::Empty);
    }
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length <= SMALL) {
        let limits = Limits { size: SMALL, idle };
        return Ok(TargetBody::Full(read(body, limits, wishes).await?));
    }
    let mut first = BytesMut::new();
    while length.is_none() && self::length(&first) <= SMALL {
        match next(&mut body, idle, wishes).await? {
            Some(chunk) => first.extend_from_slice(&chunk),
            None => return Ok(TargetBody::Full(first.freeze())),
        }
    }
    // The target may answer before it has read everything.
    wishes.linger();
    let body = Upload {
        first: first.freeze(),
        body,
        idle,
        timer: None,
        armed: false,
    };
    Ok(TargetBody::Stream {
        body: body.boxed(),
        length,
    })
}

async fn next(
    body: &mut Incoming,
    idle: Duration,
    wishes: &Wishes,
) -> Result<Option<Bytes>, ApiError> {
    loop {
        let Ok(frame) = timeout(idle, body.frame()).await else {
            wishes.linger();
            let message = "the body of the request stopped coming";
            return Err(ApiError::new(Fault::BodyTimeout, message));
        };
        match frame {
            None => return Ok(None),
            Some(Err(_)) => {
                let message = "the body of the request cannot be read";
                return Err(ApiError::new(Fault::BadRequest, message));
            }
            Some(Ok(frame)) => {
                // Trailers say nothing that anybody reads.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn too_large(limit: u64) -> ApiError {
    let message = format!("the body of the request is larger than {limit} bytes");
    ApiError::new(Fault::BodyTooLarge, message)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A body on its way to the target; fails when its caller stops sending.
struct Upload {
    /// What was read already.
    first: Bytes,
    body: Incoming,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if !this.first.is_empty() {
            let first = std::mem::take(&mut this.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        loop {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => {}
                Poll::Ready(frame) => {
                    this.armed = false;
                    return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
                }
                Poll::Pending => break,
            }
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(this.idle)));
        if !this.armed {
            timer.as_mut().reset(Instant::now() + this.idle);
            this.armed = true;
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err("the caller stopped sending".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // With something read already, the length is not known at all.
        self.body.size_hint()
    }
}
