//! The connection to a caller, as hyper reads and writes it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::rests::Rest;

/// What a caller that waits is sent, so that it does not give up; it says nothing about the answer.
const INTERIM: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";
/// How long the rest of a refused request is read before the connection is closed.
const LINGER: Duration = Duration::from_secs(2);

/// What a request handler asks of its connection.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// An interim response is to be sent; set only while no part of the answer exists.
    interim: AtomicBool,
    /// The caller may still be sending when the connection is closed.
    linger: AtomicBool,
    /// A request is being answered: what is read belongs to it, and may take its time.
    answering: AtomicBool,
    /// How many requests have come.
    requests: AtomicU32,
    /// Whether nothing is asked at all.
    rest: Arc<Rest>,
}

/// The connection to a caller.
///
/// A caller that takes no byte for a while is given up. Interim responses are written here, since
/// hyper's server cannot: only when hyper has nothing left to write, so never inside an answer.
pub(crate) struct CallerIo {
    stream: TokioIo<TcpStream>,
    stall: Stall,
    heads: Heads,
    wishes: Arc<Wishes>,
    /// What is left of an interim response that was begun.
    unsent: &'static [u8],
    lingering: Option<Pin<Box<Sleep>>>,
}

/// Notices that a peer takes nothing.
struct Stall {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

/// Notices that a caller does not come to the end of the head of its request.
struct Heads {
    limit: Duration,
    /// Since when a head is on its way; the first one is from the beginning.
    began: Option<Instant>,
    /// Made when it is waited for: most heads come in one piece.
    timer: Option<Pin<Box<Sleep>>>,
    /// The requests whose heads have come.
    seen: u32,
}

impl Wishes {
    /// Makes those of a connection that begins with a rest.
    pub(crate) fn new(rest: Arc<Rest>) -> Self {
        Self {
            rest,
            ..Self::default()
        }
    }

    /// Forgets what the last request asked for.
    pub(crate) fn begin_request(&self) {
        self.rest.end();
        self.answering.store(true, Ordering::Release);
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.interim.store(false, Ordering::Release);
        self.linger.store(false, Ordering::Release);
    }

    /// Asks for an interim response.
    pub(crate) fn send_interim(&self) {
        self.interim.store(true, Ordering::Release);
    }

    /// Takes that back: the answer begins.
    pub(crate) fn begin_answer(&self) {
        self.interim.store(false, Ordering::Release);
    }

    /// Notes that the answer has ended: what comes next is another request.
    pub(crate) fn end_answer(&self) {
        self.answering.store(false, Ordering::Release);
        self.rest.begin();
    }

    /// Returns the connection as others may ask it to leave.
    pub(crate) fn rest(&self) -> Arc<Rest> {
        Arc::clone(&self.rest)
    }

    /// Tells whether a request is being answered.
    pub(crate) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Acquire)
    }

    /// Asks that the rest of the request is read when the connection is closed, since a close with
    /// unread bytes would destroy the answer on its way.
    pub(crate) fn linger(&self) {
        self.linger.store(true, Ordering::Release);
    }
}

/// How long a caller may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the head of a request.
    pub(crate) head: Duration,
    /// Between two bytes that it takes.
    pub(crate) write_stall: Duration,
}

impl CallerIo {
    pub(crate) fn new(stream: TcpStream, patience: Patience, wishes: Arc<Wishes>) -> Self {
        Self {
            stream: TokioIo::new(stream),
            stall: Stall {
                limit: patience.write_stall,
                timer: None,
                armed: false,
            },
            heads: Heads {
                limit: patience.head,
                began: Some(Instant::now()),
                timer: None,
                seen: 0,
            },
            wishes,
            unsent: &[],
            lingering: None,
        }
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let polled = Pin::new(&mut self.stream).poll_write(cx, self.unsent);
            let sent = ready!(self.stall.watch(cx, polled))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent = self.unsent.get(sent..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let until = self
            .lingering
            .get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut scratch = [0; 4096];
        while until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Stall {
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.armed = false;
            return polled;
        }
        let until = || Instant::now() + self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until())));
        if !self.armed {
            timer.as_mut().reset(until());
            self.armed = true;
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Heads {
    /// Looks at the time after a read that gave something, or nothing yet.
    fn watch(&mut self, cx: &mut Context<'_>, read: bool) -> io::Result<()> {
        let Some(began) = self.began else {
            self.began = read.then(Instant::now);
            return Ok(());
        };
        let until = began + self.limit;
        let is_over = if read {
            Instant::now() >= until
        } else {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(until)));
            timer.as_mut().poll(cx).is_ready()
        };
        if is_over {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// Forgets a head that has come.
    fn follow(&mut self, requests: u32) {
        if requests != self.seen {
            self.seen = requests;
            self.began = None;
            self.timer = None;
        }
    }
}

impl Read for CallerIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.heads
            .follow(this.wishes.requests.load(Ordering::Acquire));
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        let is_error = matches!(polled, Poll::Ready(Err(_)));
        if !is_error && !this.wishes.is_answering() {
            this.heads.watch(cx, polled.is_ready())?;
        }
        polled
    }
}

impl Write for CallerIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(cx))?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.stall.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unsent(cx))?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.stall.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called by hyper after every step in which it has nothing to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent.is_empty() && self.wishes.interim.swap(false, Ordering::AcqRel) {
            self.unsent = INTERIM;
        }
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.wishes.linger.load(Ordering::Acquire) {
            ready!(self.poll_linger(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::TcpListener;

    use super::*;

    fn patience(head: u64, write_stall: u64) -> Patience {
        Patience {
            head: Duration::from_millis(head),
            write_stall: Duration::from_millis(write_stall),
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut io = CallerIo::new(stream, patience(10_000, 10), Arc::default());
        let piece = vec![0; 64 * 1024];

        let end = loop {
            let written = poll_fn(|cx| Pin::new(&mut io).poll_write(cx, &piece)).await;
            if let Err(error) = written {
                break error;
            }
        };

        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        drop(peer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_pauses_is_over_when_its_time_is() {
        let mut heads = Heads {
            limit: Duration::from_secs(10),
            began: None,
            timer: None,
            seen: 0,
        };
        let mut watch = async |read| poll_fn(|cx| Poll::Ready(heads.watch(cx, read).is_ok())).await;

        // Nothing has begun; then a byte comes every second, and is always there.
        assert!(watch(false).await);
        for second in 0..20_u64 {
            assert_eq!(watch(true).await, second < 10, "{second}");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test]
    async fn an_interim_response_is_sent_when_nothing_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let wishes = Arc::new(Wishes::default());
        let mut io = CallerIo::new(stream, patience(10_000, 1_000), Arc::clone(&wishes));

        wishes.send_interim();
        poll_fn(|cx| Pin::new(&mut io).poll_flush(cx))
            .await
            .unwrap();
        wishes.send_interim();
        wishes.begin_answer();
        poll_fn(|cx| Pin::new(&mut io).poll_flush(cx))
            .await
            .unwrap();
        drop(io);

        let mut received = Vec::new();
        let mut peer = peer;
        tokio::io::AsyncReadExt::read_to_end(&mut peer, &mut received)
            .await
            .unwrap();
        assert_eq!(received, INTERIM);
    }
}
