//! Serves one connection of a caller.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use crate::Shutdown;
use crate::app::App;
use crate::io::{CallerIo, Wishes};
use crate::service::CallerService;

/// Serves a connection until its caller leaves, or foreman ends.
///
/// At the first stage of the shutdown an idle connection is closed and a busy one after its answer;
/// at the second it is dropped.
pub(crate) async fn serve(stream: TcpStream, app: Arc<App>, shutdown: Shutdown) {
    let _counted = app.metrics.connection();
    let header_timeout = app.config.header_timeout;
    let wishes = Arc::new(Wishes::default());
    let write_stall = app.config.write_stall_timeout;
    let io = CallerIo::new(stream, write_stall, Arc::clone(&wishes));
    let connection = builder(header_timeout).serve_connection(io, CallerService { app, wishes });
    let mut connection = Box::pin(connection);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = shutdown.force.cancelled() => None,
        () = shutdown.drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut connection => Some(ended),
                () = shutdown.force.cancelled() => None,
            }
        }
    };
    match ended {
        Some(Ok(())) => {}
        // Callers leave as they like: nobody must act.
        Some(Err(error)) => tracing::debug!(%error, "connection ended early"),
        None => tracing::debug!("connection dropped by the shutdown"),
    }
}

fn builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without a timer hyper would not keep the timeout at all. A half-closed connection counts as
    // a caller that left.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .half_close(false)
        .keep_alive(true);
    builder
}
