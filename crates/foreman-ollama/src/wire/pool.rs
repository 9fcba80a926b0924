//! Connections that wait for their next request.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};

use crate::wire::alarm::Alarm;
use crate::wire::bell::Bell;
use crate::wire::upload::RequestBody;

/// More idle connections than this are closed: as many as a busy set of embedding callers needs.
const MAX_IDLE: usize = 64;
/// Longer idle ones are closed: proxies drop them silently after a minute or more.
const IDLE_LIFETIME: Duration = Duration::from_mins(1);
/// How long the end of the previous exchange may take to settle before a new one is dialled.
const SETTLE: Duration = Duration::from_millis(100);

/// One open connection; dropping it closes it at once.
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) received: Received,
    pub(super) driver: Driver,
    /// Rings when an answer does not begin in time.
    pub(super) alarm: Alarm,
}

type Driving = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// What moves a connection's bytes.
///
/// It has no task of its own: whoever waits for something on the connection drives it, so that no
/// byte is handed from one task to another. While nobody waits, nothing is read.
pub(super) struct Driver {
    driving: Option<Driving>,
    bell: Bell,
}

impl Driver {
    pub(super) fn new(driving: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        Self {
            driving: Some(Box::pin(driving)),
            bell: Bell::default(),
        }
    }

    /// Polls something that comes by this connection, and drives it as long as it does not come.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Self { driving, bell } = self;
        bell.look(cx, |cx| {
            if let Poll::Ready(value) = poll(cx) {
                return Poll::Ready(value);
            }
            drive(driving, cx);
            poll(cx)
        })
    }

    /// The same, but drives it first.
    fn poll_driven<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Self { driving, bell } = self;
        bell.look(cx, |cx| {
            drive(driving, cx);
            poll(cx)
        })
    }
}

/// Moves what can be moved now; whoever waits for it is woken when there is more.
fn drive(driving: &mut Option<Driving>, cx: &mut Context<'_>) {
    if let Some(running) = driving
        && running.as_mut().poll(cx).is_ready()
    {
        *driving = None;
    }
}

/// Counts the bytes that came over one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Received(Arc<AtomicU64>);

impl Received {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn add(&self, bytes: usize) {
        self.0
            .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::AcqRel);
    }
}

/// Idle connections, the most recently used last.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Connection {
    /// Waits for the end of the exchange before; tells whether it can carry another one.
    async fn settled(&mut self) -> bool {
        // Nearly always it has settled already: then no timer is made.
        if let Poll::Ready(settled) = poll_fn(|cx| Poll::Ready(self.poll_settled(cx))).await {
            return settled;
        }
        let settling = poll_fn(|cx| self.poll_settled(cx));
        timeout(SETTLE, settling).await.unwrap_or(false)
    }

    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Self { sender, driver, .. } = self;
        // Driven first: the target may have closed it meanwhile.
        driver.poll_driven(cx, |cx| sender.poll_ready(cx).map(|ready| ready.is_ok()))
    }
}

impl Pool {
    /// Takes the most recently used connection that can carry a request.
    pub(super) async fn take(&self) -> Option<Connection> {
        while let Some(idle) = self.pop() {
            let mut connection = idle.connection;
            let fresh = idle.since.elapsed() < IDLE_LIFETIME;
            if !fresh || connection.sender.is_closed() {
                continue;
            }
            if connection.settled().await {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last exchange came to its proper end.
    pub(super) fn put(&self, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let since = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest are first. Closed ones are found out when they are taken.
        let old = idle.partition_point(|one| since.duration_since(one.since) >= IDLE_LIFETIME);
        idle.drain(..old);
        if idle.len() < MAX_IDLE {
            idle.push(Idle { connection, since });
        }
    }

    fn pop(&self) -> Option<Idle> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Pool").field("idle", &idle.len()).finish()
    }
}

/// A stream that counts what is read from it.
pub(super) struct Counted<S> {
    inner: S,
    received: Received,
}

impl<S> Counted<S> {
    pub(super) fn new(inner: S, received: Received) -> Self {
        Self { inner, received }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.received.add(buf.filled().len().saturating_sub(before));
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
