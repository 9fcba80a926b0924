//! The bodies of callers' requests.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use foreman_ollama::{BoxError, TargetBody};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use crate::app::App;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::io::Wishes;
use crate::reserve::{Held, Memory};

/// Smaller bodies are read before they are sent on, so that a pooled connection can carry them.
const SMALL: u64 = 64 * 1024;
/// As good as no limit, and no time overflows with it.
const FOREVER: Duration = Duration::from_hours(24 * 365);
/// Room made at once for a body of a known length; more comes with the bytes.
const FIRST_ROOM: u64 = 1024 * 1024;

/// Limits of a body that is read whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// In all.
    pub(crate) size: u64,
    /// Where room for it comes from.
    pub(crate) memory: &'a Memory,
    /// How fast it must come.
    pub(crate) pace: Pace,
}

/// A body that was read whole.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    /// The memory that it holds, to be kept until the body was handed on.
    pub(crate) held: Held,
}

/// How fast a body must come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two pieces.
    pub(crate) idle: Duration,
    /// Bytes a second on average, once it has been idle for so long.
    pub(crate) rate: u64,
    /// In all.
    pub(crate) total: Option<Duration>,
}

/// A body on its way, and how long it has been.
struct Coming<'a> {
    body: &'a mut Incoming,
    wishes: &'a Wishes,
    pace: Pace,
    began: Instant,
    size: u64,
}

impl Pace {
    /// Returns when the next piece of a body must be there.
    fn due(&self, began: Instant, now: Instant, size: u64) -> Instant {
        let earned = Duration::from_secs(size / self.rate.max(1));
        let on_average = began + self.idle.saturating_add(earned).min(FOREVER);
        let in_all = began + self.total.unwrap_or(FOREVER).min(FOREVER);
        (now + self.idle.min(FOREVER)).min(on_average).min(in_all)
    }
}

/// Reads a body whole.
///
/// A length that is too large is refused before a byte is read.
pub(crate) async fn read(
    mut body: Incoming,
    limits: Limits<'_>,
    wishes: &Wishes,
) -> Result<Whole, ApiError> {
    let announced = body.size_hint().exact();
    if announced.is_some_and(|length| length > limits.size) {
        wishes.linger();
        return Err(too_large(limits.size));
    }
    let mut coming = Coming::new(&mut body, limits.pace, wishes);
    let mut held = Held::default();
    let mut first = None;
    let mut whole = BytesMut::new();
    while let Some(chunk) = coming.next().await? {
        let size = coming.size;
        if size > limits.size {
            wishes.linger();
            return Err(too_large(limits.size));
        }
        if size > SMALL {
            let room = limits.memory.hold(&mut held, size);
            room.inspect_err(|_| wishes.linger())?;
        }
        if first.is_none() && whole.is_empty() {
            if announced == Some(size) {
                let bytes = unpinned(chunk);
                return Ok(Whole { bytes, held });
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
    let bytes = first.map_or_else(|| whole.freeze(), unpinned);
    Ok(Whole { bytes, held })
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
    app: &App,
    wishes: &Wishes,
) -> Result<TargetBody, ApiError> {
    if body.is_end_stream() {
        return Ok(TargetBody::Empty);
    }
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length <= SMALL) {
        let small = read(body, app.limits(SMALL), wishes).await?;
        return Ok(TargetBody::Full(small.bytes));
    }
    let pace = app.pace(None);
    let mut coming = Coming::new(&mut body, pace, wishes);
    let mut first = BytesMut::new();
    while length.is_none() && self::length(&first) <= SMALL {
        match coming.next().await? {
            Some(chunk) => first.extend_from_slice(&chunk),
            None => return Ok(TargetBody::Full(first.freeze())),
        }
    }
    let (began, size) = (coming.began, coming.size);
    // The target may answer before it has read everything.
    wishes.linger();
    let body = Upload {
        first: first.freeze(),
        body,
        pace,
        began,
        size,
        timer: None,
        armed: false,
    };
    Ok(TargetBody::Stream {
        body: body.boxed(),
        length,
    })
}

impl<'a> Coming<'a> {
    fn new(body: &'a mut Incoming, pace: Pace, wishes: &'a Wishes) -> Self {
        Self {
            body,
            wishes,
            pace,
            began: Instant::now(),
            size: 0,
        }
    }

    /// Returns the next piece; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let due = self.pace.due(self.began, Instant::now(), self.size);
            let Some(frame) = by(due, self.body.frame()).await else {
                self.wishes.linger();
                let message = "the body of the request stopped coming, or came too slowly";
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
                        self.size = self.size.saturating_add(length(&data));
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// Waits for something until it is due; makes no timer where it is there.
async fn by<T>(due: Instant, mut coming: impl Future<Output = T> + Unpin) -> Option<T> {
    let look = poll_fn(|cx| Poll::Ready(Pin::new(&mut coming).poll(cx))).await;
    match look {
        Poll::Ready(come) => Some(come),
        Poll::Pending => timeout_at(due, coming).await.ok(),
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
    pace: Pace,
    began: Instant,
    size: u64,
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
                    if let Some(Ok(data)) = &frame {
                        let more = data.data_ref().map_or(0, |data| length(data));
                        this.size = this.size.saturating_add(more);
                    }
                    return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
                }
                Poll::Pending => break,
            }
        }
        let due = || this.pace.due(this.began, Instant::now(), this.size);
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(due())));
        if !this.armed {
            timer.as_mut().reset(due());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_must_come_in_pieces_on_average_and_in_all() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let pace = Pace {
            idle: Duration::from_secs(30),
            rate: 1024,
            total: Some(Duration::from_secs(100)),
        };

        assert_eq!(pace.due(began, at(0), 0), at(30));
        assert_eq!(pace.due(began, at(20), 0), at(30));
        assert_eq!(pace.due(began, at(20), 10 * 1024), at(40));
        assert_eq!(pace.due(began, at(20), 1024 * 1024), at(50));
        assert_eq!(pace.due(began, at(90), 1024 * 1024), at(100));
        let without_end = Pace {
            total: None,
            ..pace
        };
        assert_eq!(without_end.due(began, at(90), 1024 * 1024), at(120));
        assert!(without_end.due(began, at(0), u64::MAX) > began);
    }
}
