//! Serves one connection of a caller.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use crate::ServerConfig;
use crate::Shutdown;
use crate::app::App;
use crate::io::{CallerIo, Patience, Wishes};
use crate::reserve::Place;
use crate::service::CallerService;

/// Hyper takes no smaller buffer.
const LEAST_BUFFER: usize = 8192;

/// Serves a connection until its caller leaves, or foreman ends.
///
/// At the first stage of the shutdown an idle connection is closed and a busy one after its answer;
/// at the second it is dropped.
pub(crate) async fn serve(stream: TcpStream, place: Place, app: Arc<App>, shutdown: Shutdown) {
    let _counted = app.metrics.connection();
    let wishes = Arc::new(Wishes::default());
    let patience = Patience {
        head: place.kind.patience(app.config.header_timeout),
        write_stall: app.config.write_stall_timeout,
    };
    let io = CallerIo::new(stream, patience, Arc::clone(&wishes));
    let builder = builder(&app.config);
    let service = CallerService {
        app,
        wishes,
        place: place.kind,
    };
    let connection = builder.serve_connection(io, service);
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

fn builder(config: &ServerConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without a timer hyper would not keep the timeout at all. It counts from the end of the last
    // answer, so it is the one for idle connections; that for heads is the socket's. A half-closed
    // connection counts as a caller that left.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.keep_alive_timeout.max(config.header_timeout))
        .max_buf_size(config.max_head.max(LEAST_BUFFER))
        .max_headers(config.max_headers)
        .half_close(false)
        // Answers are many small chunks: to put them together costs less than to list them.
        .writev(false)
        .keep_alive(true);
    builder
}
