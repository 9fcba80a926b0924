//! `foreman serve`: puts the layers together, runs them, and takes them down in order.
//!
//! Order of the start: log, store (with its lock and its migrations), target, recovery, listener,
//! worker. Order of the end: listener and claims, running job, connections, store.

mod error;
mod greeting;
mod layers;
mod signals;
mod stub;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use foreman_scheduler::Shutdown;
use foreman_store::{QueueStore, SqliteStore, StoreHealth};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

pub use error::ServeError;

use crate::args::ServeOptions;
use crate::settings::Settings;
use crate::telemetry;
use greeting::{Greeting, Target};
use layers::Layers;
use signals::Signals;

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
    telemetry::init(&settings.log, settings.log_format, options.screen)?;
    let store = Arc::new(SqliteStore::open(&layers::store_config(&settings))?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let served = runtime.block_on(run(settings, options, Arc::clone(&store), out));
    let closed = runtime.block_on(store.close());
    runtime.shutdown_background();
    served?;
    closed.map_err(ServeError::Close)
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
    let layers = Layers::build(&settings, Arc::clone(&store), &shutdown).await?;
    let recovery = layers.scheduler.recover().await?;
    layers.poll_once().await;
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
    greeting.write(out).map_err(ServeError::Output)?;
    let served = work(layers, listener, settings.shutdown_grace, shutdown).await;
    if let Some(stub) = stub {
        stub.shutdown().await;
    }
    served
}

/// Runs the layers until a signal, or until one of them cannot go on.
async fn work(
    layers: Layers,
    listener: TcpListener,
    grace: Duration,
    shutdown: Shutdown,
) -> Result<(), ServeError> {
    let Layers {
        scheduler,
        server,
        store,
        mut polling,
        ..
    } = layers;
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    let mut parts = JoinSet::new();
    let scheduling = scheduler.run();
    parts.spawn(async { scheduling.await.map_err(ServeError::Scheduler) });
    let serving = server.run(listener, foreman_server::Shutdown { drain: shutdown.drain.clone(), force: shutdown.force.clone() });
    parts.spawn(async { serving.await.map_err(ServeError::Server) });
    let early = tokio::select! {
        Some(end) = parts.join_next() => Some(end.map_err(ServeError::Panicked).flatten()),
        Some(end) = polling.join_next() => Some(end.map_err(ServeError::Panicked)),
        reason = store_failure(store.as_ref()) => Some(Err(ServeError::StoreFailed(reason))),
        name = signals.next() => {
            info!(signal = name, grace_s = grace.as_secs(), "shutting down");
            None
        }
    };
    if let Some(end) = early {
        // A part that ends unasked is trouble, whatever it says: the next life finds out from the
        // database what is true.
        shutdown.drain.cancel();
        shutdown.force.cancel();
        return end.and(Err(ServeError::EndedUnasked));
    }
    shut_down(parts, &mut signals, grace, &shutdown).await
}

/// Lets the running job and its caller come to their end, for as long as the grace lasts.
async fn shut_down(
    mut parts: JoinSet<Result<(), ServeError>>,
    signals: &mut Signals,
    grace: Duration,
    shutdown: &Shutdown,
) -> Result<(), ServeError> {
    shutdown.drain.cancel();
    let finish = async {
        while let Some(end) = parts.join_next().await {
            end.map_err(ServeError::Panicked).flatten()?;
        }
        Ok(())
    };
    tokio::pin!(finish);
    let interrupted = tokio::select! {
        ended = &mut finish => return ended,
        name = signals.next() => {
            warn!(signal = name, "asked again: the running job goes back to the queue");
            Err(ServeError::Interrupted)
        }
        () = tokio::time::sleep(grace) => {
            warn!("the grace is over: the running job goes back to the queue");
            Ok(())
        }
    };
    shutdown.force.cancel();
    finish.await?;
    interrupted
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
