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
use crate::rests::{Listed, Rest, Rests};
use crate::service::CallerService;
use crate::when_woken::WhenWoken;

/// Hyper takes no smaller buffer.
const LEAST_BUFFER: usize = 8192;

/// On the heap: a future that is handed on has room for itself twice.
type Connection = Pin<Box<http1::Connection<CallerIo, CallerService>>>;

/// What may be asked of a connection, and by whom.
struct Standing {
    wishes: Arc<Wishes>,
    rest: Arc<Rest>,
    _listed: Listed,
}

/// Serves a connection until its caller leaves, or foreman ends.
///
/// At the first stage of the shutdown an idle connection is closed and a busy one after its answer;
/// at the second it is dropped.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn has room for its arguments twice"
)]
pub(crate) fn serve(
    arrival: Box<Arrival>,
    app: Arc<App>,
    shutdown: Shutdown,
) -> impl Future<Output = ()> + Send {
    async move {
        let _counted = app.metrics.connection();
        // Boxed, as it is over soon, and the connection may be there for long.
        let settled = Box::pin(arrival.settle(&app.metrics)).await;
        let (stream, place, rests) = settled;
        let (mut connection, standing) = open(stream, place.kind, &rests, app);
        let drain = pin!(shutdown.drain.cancelled());
        let must_go = pin!(async {
            loop {
                tokio::select! {
                    biased;
                    () = shutdown.force.cancelled() => return,
                    () = standing.rest.asked_to_leave() => if standing.must_leave() { return },
                }
            }
        });
        // The connection is looked at several times for each request, these once in its life.
        let (mut drain, mut must_go) = (WhenWoken::new(drain), WhenWoken::new(must_go));
        let mut drains = false;
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    // Callers leave as they like: nobody must act.
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended early");
                    }
                    break;
                }
                () = &mut drain, if !drains => {
                    drains = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = &mut must_go => {
                    tracing::debug!("connection dropped, for room, for memory or for the shutdown");
                    break;
                }
            }
        }
        drop(connection);
        standing.rest.hand_over(place);
    }
}

/// Makes the connection of a caller that has come.
fn open(
    stream: TcpStream,
    kind: PlaceKind,
    rests: &Rests,
    app: Arc<App>,
) -> (Connection, Standing) {
    let (rest, listed) = match kind {
        PlaceKind::Ordinary => rests.add(),
        // It hurries already, and its place is of no use to others.
        PlaceKind::Reserved => Rests::default().add(),
    };
    let wishes = Arc::new(Wishes::new(Arc::clone(&rest)));
    let patience = Patience {
        head: kind.patience(app.config.header_timeout),
        write_stall: app.config.write_stall_timeout,
    };
    let io = CallerIo::new(stream, patience, Arc::clone(&wishes));
    let builder = builder(&app.config);
    let service = CallerService {
        app,
        wishes: Arc::clone(&wishes),
        place: kind,
    };
    let connection = Box::pin(builder.serve_connection(io, service));
    let standing = Standing {
        wishes,
        rest,
        _listed: listed,
    };
    (connection, standing)
}

impl Standing {
    /// Tells whether one that was asked to leave must: when nothing is asked on it, or when it is
    /// cut off.
    fn must_leave(&self) -> bool {
        self.rest.is_cut_off() || !self.wishes.is_answering()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_holds_little_room_beside_what_hyper_needs() {
        let whole = size(serve);

        // With what tokio adds for a task it is 640 bytes, in steps of 128.
        assert!(whole <= 528, "{whole}");
    }
}
