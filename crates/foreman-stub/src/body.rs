//! The response body that hyper polls: counts chunks, notices its end, applies faults.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time;

use crate::{
    conn::{Conn, Cut},
    core::Core,
    fault::{Fault, Strike},
    gojson::Obj,
    record::{End, Ticket},
    reply::Chunks,
};

enum Source {
    /// Known length.
    Whole(Option<Bytes>),
    /// Unknown length.
    Chunks(Chunks),
}

/// One answer's body; dropped too early it tells the record that the client left.
pub(crate) struct ReplyBody {
    source: Source,
    ticket: Arc<Ticket>,
    conn: Arc<Conn>,
}

impl ReplyBody {
    /// A body of known length.
    pub(crate) fn whole(bytes: Bytes, ticket: Arc<Ticket>, conn: Arc<Conn>) -> Self {
        let source = Source::Whole((!bytes.is_empty()).then_some(bytes));
        Self {
            source,
            ticket,
            conn,
        }
    }

    /// A body that comes chunk by chunk.
    pub(crate) fn chunks(chunks: Chunks, ticket: Arc<Ticket>, conn: Arc<Conn>) -> Self {
        Self {
            source: Source::Chunks(chunks),
            ticket,
            conn,
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.source {
            Source::Whole(bytes) => bytes.take(),
            Source::Chunks(chunks) => match chunks.as_mut().poll_next(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
        };
        if let Some(bytes) = &next {
            self.ticket.chunk(bytes.len());
        }
        if next.is_none() || self.is_end_stream() {
            self.ticket.end(End::Complete);
        }
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Source::Chunks(_) => SizeHint::default(),
        }
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        let end = if self.is_end_stream() {
            End::Complete
        } else {
            self.conn.end()
        };
        self.ticket.end(end);
    }
}

/// Chunks with a fault among them.
pub(crate) fn faulty(chunks: Chunks, strike: Strike, core: Arc<Core>, conn: Arc<Conn>) -> Chunks {
    let (at, act) = match strike.fault.clone() {
        Fault::ResetAfter(at) => (at, Act::Cut(Cut::Reset)),
        Fault::CloseAfter(at) => (at, Act::Cut(Cut::Close)),
        Fault::DownAfter(at) => (at, Act::Down),
        Fault::EndAfter(at) => (at, Act::End),
        Fault::StallAfter(at) => (at, Act::Stall),
        Fault::GarbageAfter(at) => (at, Act::Say("!! not json {\n".to_owned())),
        Fault::ErrorLineAfter { chunks, message } => {
            let line = Obj::new().str("error", &message).end();
            (chunks, Act::SayAndEnd(line + "\n"))
        }
        Fault::Trickle { bytes, pause } => return trickle(chunks, bytes, pause),
        Fault::ShortBody => return short(chunks, conn),
        Fault::ResetBeforeHead
        | Fault::CloseBeforeHead
        | Fault::DownBeforeHead
        | Fault::StallBeforeHead
        | Fault::Status { .. }
        | Fault::Html
        | Fault::Raw(_)
        | Fault::RawWithoutEnd { .. }
        | Fault::SlowLoad(_)
        | Fault::LoadFails(_) => return chunks,
    };
    let state = Faulty {
        chunks,
        left: Some(at),
        act,
        strike,
        core,
        conn,
    };
    Box::pin(stream::unfold(state, Faulty::next))
}

enum Act {
    Cut(Cut),
    Down,
    End,
    Stall,
    Say(String),
    SayAndEnd(String),
}

struct Faulty {
    chunks: Chunks,
    /// Chunks before the fault; `None` once it has struck.
    left: Option<usize>,
    act: Act,
    strike: Strike,
    core: Arc<Core>,
    conn: Arc<Conn>,
}

impl Faulty {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.left == Some(0) {
            self.left = None;
            match &mut self.act {
                Act::Cut(cut) => self.conn.cut(*cut).await,
                Act::Down => {
                    self.core.go_down();
                    self.conn.cut(Cut::Close).await;
                }
                Act::End => return None,
                Act::Stall => self.strike.released().await,
                Act::Say(line) => return Some((Bytes::from(std::mem::take(line)), self)),
                Act::SayAndEnd(line) => {
                    let line = Bytes::from(std::mem::take(line));
                    self.chunks = Box::pin(stream::empty());
                    return Some((line, self));
                }
            }
        }
        let chunk = self.chunks.next().await?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Some((chunk, self))
    }
}

/// Closes the connection where the body would end.
fn short(chunks: Chunks, conn: Arc<Conn>) -> Chunks {
    let never = async move {
        conn.cut(Cut::Close).await;
        Bytes::new()
    };
    Box::pin(chunks.chain(stream::once(never)))
}

fn trickle(chunks: Chunks, size: usize, pause: Duration) -> Chunks {
    let state = (chunks, VecDeque::<Bytes>::new());
    Box::pin(stream::unfold(
        state,
        move |(mut chunks, mut pieces)| async move {
            if pieces.is_empty() {
                let mut chunk = chunks.next().await?;
                while chunk.len() > size.max(1) {
                    pieces.push_back(chunk.split_to(size.max(1)));
                }
                pieces.push_back(chunk);
            }
            time::sleep(pause).await;
            let piece = pieces.pop_front()?;
            Some((piece, (chunks, pieces)))
        },
    ))
}
