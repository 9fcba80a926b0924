//! `foreman serve`: puts the layers together, runs them, and takes them down in order.
//!
//! Order of the start: log, store (with its lock and its migrations), target, recovery, listener,
//! worker. Order of the end: listener and claims, running job, connections, store.

mod error;
mod figures;
mod files;
mod greeting;
mod layers;
mod signals;
mod stub;

use std::io::Write;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use foreman_scheduler::{SchedulerError, Shutdown};
use foreman_store::{QueueStore, SqliteStore, StoreHealth};
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use error::ServeError;
#[cfg(feature = "fail-points")]
pub(crate) use layers::Seams;

use crate::args::ServeOptions;
#[cfg(feature = "fail-points")]
use crate::fail_points;
use crate::settings::Settings;
use crate::telemetry;
use greeting::{Greeting, Target};
use layers::Layers;
#[cfg(not(feature = "fail-points"))]
use layers::Seams;
use signals::Signals;

/// How long callers may take, at the end, to read what there is for them.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves until a signal ends it.
///
/// # Errors
///
/// When a layer cannot start, or cannot go on.
pub fn serve(
    settings: Settings,
    options: ServeOptions,
    out: &mut dyn Write,
) -> Result<(), ServeError> {
    // Dropped last: whatever is said on the way out is written.
    let _log = telemetry::init(&settings.log, settings.log_format, options.screen)?;
    let config = layers::store_config(&settings);
    #[cfg(feature = "fail-points")]
    let config = fail_points::watch_commits(config, &options.fuse);
    let store = Arc::new(SqliteStore::open(&config)?);
    #[cfg(feature = "fail-points")]
    options.fuse.hit(fail_points::Point::AfterMigrate);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(serving_threads())
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let served = runtime.block_on(run(settings, options, Arc::clone(&store), out));
    let closed = runtime.block_on(store.close());
    runtime.shutdown_background();
    served?;
    closed.map_err(ServeError::Close)
}

/// Returns how many threads serve: one for each two cores, and no more than are of use before one
/// target. The others are the store's and, where it runs on this machine, the target's; two threads
/// that share a core only wake each other.
fn serving_threads() -> usize {
    const MOST: usize = 4;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    (cores / 2).clamp(1, MOST)
}

async fn run(
    mut settings: Settings,
    options: ServeOptions,
    store: Arc<SqliteStore>,
    out: &mut dyn Write,
) -> Result<(), ServeError> {
    let stub = match &options.stub {
        Some(wanted) => Some(stub::start(wanted, &mut settings).await?),
        None => None,
    };
    let listener =
        TcpListener::bind(settings.listen)
            .await
            .map_err(|source| ServeError::Listen {
                address: settings.listen,
                source,
            })?;
    let shutdown = Shutdown::default();
    let seams = Seams::new(&settings, &store)?;
    #[cfg(feature = "fail-points")]
    let seams = fail_points::wrap(seams, &options.fuse);
    let layers = Layers::build(&settings, store, seams, &shutdown).await?;
    let recovery = layers.scheduler.recover().await?;
    layers.poll_once().await;
    // From the moment that somebody is told where foreman listens, a signal ends it in order.
    let signals = Signals::listen().map_err(ServeError::Signals)?;
    let greeting = Greeting {
        settings: &settings,
        address: listener.local_addr().unwrap_or(settings.listen),
        inventory: &layers.inventory.snapshot(),
        recovery: &recovery,
        target: if stub.is_some() {
            Target::Stub
        } else {
            Target::Ollama
        },
    };
    if let Err(error) = greeting.write(out) {
        // Whoever was to read it has seen enough, or never looked.
        warn!(%error, "standard output takes no greeting");
    }
    let grace = settings.shutdown_grace;
    let served = work(layers, listener, (signals, grace), shutdown).await;
    if let Some(stub) = stub {
        stub.shutdown().await;
    }
    served
}

/// Runs the layers until a signal, or until one of them cannot go on.
async fn work(
    layers: Layers,
    listener: TcpListener,
    (mut signals, grace): (Signals, Duration),
    shutdown: Shutdown,
) -> Result<(), ServeError> {
    let Layers {
        scheduler,
        server,
        store,
        mut polling,
        ..
    } = layers;
    // The server outlives the scheduler: callers are to hear what became of their jobs.
    let last = Shutdown {
        drain: shutdown.drain.clone(),
        ..Shutdown::default()
    };
    let mut scheduling = JoinSet::new();
    scheduling.spawn(scheduler.run());
    let mut serving = JoinSet::new();
    serving.spawn(server.run(listener, last.clone()));
    let trouble = tokio::select! {
        Some(end) = scheduling.join_next() => scheduler_end(end).err(),
        Some(end) = serving.join_next() => server_end(end).err(),
        Some(end) = polling.join_next() => end.err().map(ServeError::Panicked),
        reason = store_failure(store.as_ref()) => Some(ServeError::StoreFailed(reason)),
        name = signals.next() => {
            info!(signal = name, grace_s = grace.as_secs(), "shutting down");
            shutdown.drain.cancel();
            None
        }
    };
    if !shutdown.drain.is_cancelled() {
        let trouble = trouble.unwrap_or(ServeError::EndedUnasked);
        error!(error = %trouble, "foreman cannot go on");
        // Callers hear what became of their requests, as far as anybody knows.
        shutdown.drain.cancel();
        end_server(serving, &last.force).await?;
        return Err(trouble);
    }
    let ended = end_scheduler(scheduling, &mut signals, grace, &shutdown.force).await;
    end_server(serving, &last.force).await?;
    ended
}

/// Lets the running job come to its end, for as long as the grace lasts.
async fn end_scheduler(
    mut scheduling: JoinSet<Result<(), SchedulerError>>,
    signals: &mut Signals,
    grace: Duration,
    force: &CancellationToken,
) -> Result<(), ServeError> {
    let end = async { scheduling.join_next().await.map_or(Ok(()), scheduler_end) };
    tokio::pin!(end);
    let interrupted = tokio::select! {
        ended = &mut end => return ended,
        name = signals.next() => {
            warn!(signal = name, "asked again: the running job goes back to the queue");
            Err(ServeError::Interrupted)
        }
        () = tokio::time::sleep(grace) => {
            warn!("the grace is over: the running job goes back to the queue");
            Ok(())
        }
    };
    force.cancel();
    end.await?;
    interrupted
}

/// Lets callers read what the scheduler had for them, for a moment.
async fn end_server(
    mut serving: JoinSet<Result<(), foreman_server::ServeError>>,
    force: &CancellationToken,
) -> Result<(), ServeError> {
    let end = async { serving.join_next().await.map_or(Ok(()), server_end) };
    tokio::pin!(end);
    tokio::select! {
        ended = &mut end => return ended,
        () = tokio::time::sleep(LAST_WORDS) => warn!("dropping callers that do not read their answers"),
    }
    force.cancel();
    end.await
}

fn scheduler_end(end: Result<Result<(), SchedulerError>, JoinError>) -> Result<(), ServeError> {
    end.map_err(ServeError::Panicked)?
        .map_err(ServeError::Scheduler)
}

fn server_end(
    end: Result<Result<(), foreman_server::ServeError>, JoinError>,
) -> Result<(), ServeError> {
    end.map_err(ServeError::Panicked)?
        .map_err(ServeError::Server)
}

/// Waits until the store cannot keep anything any more.
async fn store_failure(store: &SqliteStore) -> String {
    let mut health = store.health();
    loop {
        if let StoreHealth::Failed { reason } = &*health.borrow_and_update() {
            return reason.clone();
        }
        if health.changed().await.is_err() {
            return "its writer has ended".to_owned();
        }
    }
}
