//! The accept loop and the connections.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpSocket, TcpStream},
    task, time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    conn::{Conn, Cut, Raw},
    core::Core,
    error::StubError,
    router,
};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
/// Go's limit for request heads.
const MAX_HEAD: usize = 1 << 20;

/// A listener that can be closed and opened again on the same port.
#[derive(Debug)]
pub(crate) struct Server {
    core: Arc<Core>,
    address: SocketAddr,
    tasks: Mutex<TaskTracker>,
    /// Keeps the port while nothing listens on it.
    reserved: Mutex<Option<TcpSocket>>,
}

impl Server {
    /// Starts to accept on `listener`.
    pub(crate) fn start(core: Arc<Core>, address: SocketAddr, listener: TcpListener) -> Self {
        let server = Self {
            core,
            address,
            tasks: Mutex::default(),
            reserved: Mutex::default(),
        };
        server.accept(listener);
        server
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&self, listener: TcpListener) {
        let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
        *self
            .core
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = token.clone();
        tasks.spawn(accept(
            listener,
            Arc::clone(&self.core),
            token,
            tasks.clone(),
        ));
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
    }

    /// Closes the listener and aborts its connections; the port stays ours.
    pub(crate) async fn stop(&self) {
        self.core.go_down();
        let tasks = self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        tasks.close();
        tasks.wait().await;
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if reserved.is_none() {
            *reserved = bound(self.address).ok();
        }
    }

    /// Opens the listener again; does nothing when it is open.
    pub(crate) async fn resume(&self) -> Result<(), StubError> {
        let down = self
            .core
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_cancelled();
        if !down {
            return Ok(());
        }
        self.stop().await;
        let reserved = self
            .reserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let listener = match reserved {
            Some(socket) => listen(self.address, socket)?,
            None => open(self.address)?,
        };
        self.accept(listener);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.core.go_down();
    }
}

/// Listens on `address`.
fn open(address: SocketAddr) -> Result<TcpListener, StubError> {
    let socket = bound(address).map_err(|source| StubError::Listen { address, source })?;
    listen(address, socket)
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Connections of the time before may linger on the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr, socket: TcpSocket) -> Result<TcpListener, StubError> {
    socket
        .listen(BACKLOG)
        .map_err(|source| StubError::Listen { address, source })
}

async fn accept(
    listener: TcpListener,
    core: Arc<Core>,
    token: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, Arc::clone(&core), token.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, core: Arc<Core>, token: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let conn = Arc::new(Conn::new(core.recorder.connection()));
    let for_requests = Arc::clone(&conn);
    let service = service_fn(move |request| {
        Box::pin(router::dispatch(
            Arc::clone(&core),
            Arc::clone(&for_requests),
            request,
        ))
    });
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).max_buf_size(MAX_HEAD);
    let mut http = builder.serve_connection(TokioIo::new(stream), service);
    let cut = tokio::select! {
        // First what can be written is written, then the connection is cut.
        biased;
        served = &mut http => {
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
            return;
        }
        cut = conn.cut_asked() => cut,
        () = token.cancelled() => {
            conn.target_down();
            Cut::Close
        }
    };
    let mut stream = http.into_parts().io.into_inner();
    if let Some(raw) = conn.to_say() {
        let said = tokio::select! {
            said = say(&mut stream, raw) => said,
            () = token.cancelled() => Ok(()),
        };
        if let Err(error) = said {
            tracing::debug!(%error, "nobody takes the bytes any more");
        }
    }
    if cut == Cut::Reset
        && let Err(error) = stream.set_zero_linger()
    {
        tracing::warn!(%error, "a connection cannot be reset");
    }
}

/// Writes bytes in place of an answer, each piece by itself.
async fn say(stream: &mut TcpStream, raw: Raw) -> std::io::Result<()> {
    for piece in &raw.pieces {
        stream.write_all(piece).await?;
        task::yield_now().await;
    }
    while let Some(again) = &raw.again {
        stream.write_all(again).await?;
    }
    stream.shutdown().await
}
