//! Serves one connection of a caller.

use std::pin::{Pin, pin};
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use crate::ServerConfig;
use crate::Shutdown;
use crate::app::App;
use crate::io::{CallerIo, Patience, Wishes};
use crate::reserve::{Arrival, PlaceKind};
use crate::rests::{Rest, Rests};
use crate::service::CallerService;
use crate::when_woken::WhenWoken;

/// Hyper takes no smaller buffer.
const LEAST_BUFFER: usize = 8192;

/// Serves a connection until its caller leaves, or foreman ends.
///
/// At the first stage of the shutdown an idle connection is closed and a busy one after its answer;
/// at the second it is dropped.
pub(crate) async fn serve(stream: TcpStream, arrival: Arrival, app: Arc<App>, shutdown: Shutdown) {
    let _counted = app.metrics.connection();
    let (place, rests) = arrival.settle(&app.metrics).await;
    let (rest, _listed) = match place.kind {
        PlaceKind::Ordinary => rests.add(),
        // It hurries already, and its place is of no use to others.
        PlaceKind::Reserved => Rests::default().add(),
    };
    let wishes = Arc::new(Wishes::new(Arc::clone(&rest)));
    let patience = Patience {
        head: place.kind.patience(app.config.header_timeout),
        write_stall: app.config.write_stall_timeout,
    };
    let io = CallerIo::new(stream, patience, Arc::clone(&wishes));
    let builder = builder(&app.config);
    let service = CallerService {
        app,
        wishes: Arc::clone(&wishes),
        place: place.kind,
    };
    // On the heap: a future that is handed on has room for itself twice.
    let mut connection = Box::pin(builder.serve_connection(io, service));
    let drain = pin!(shutdown.drain.cancelled());
    let must_go = pin!(async {
        tokio::select! {
            biased;
            () = shutdown.force.cancelled() => {}
            () = makes_room(&rest, &wishes) => {}
            () = rest.is_cut_off() => {}
        }
    });
    // The connection is looked at several times for each request, these once in its life.
    let (drain, must_go) = (WhenWoken::new(drain), WhenWoken::new(must_go));
    tokio::select! {
        biased;
        ended = until_ended(connection.as_mut(), drain) => match ended {
            Ok(()) => {}
            // Callers leave as they like: nobody must act.
            Err(error) => tracing::debug!(%error, "connection ended early"),
        },
        () = must_go => {
            tracing::debug!("connection dropped, for room, for memory or for the shutdown");
        }
    }
    drop(connection);
    rest.hand_over(place);
}

/// Serves it until it has ended; at the first stage of the shutdown it takes no more requests.
async fn until_ended(
    mut connection: Pin<&mut http1::Connection<CallerIo, CallerService>>,
    drain: impl Future<Output = ()>,
) -> hyper::Result<()> {
    tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = drain => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// Waits until the connection is to make room for another, and nothing is asked on it.
async fn makes_room(rest: &Rest, wishes: &Wishes) {
    loop {
        rest.asked_to_leave().await;
        if !wishes.is_answering() {
            return;
        }
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
