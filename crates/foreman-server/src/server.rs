//! The server: accepts connections and shuts down in two stages.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use foreman_job::Clock;
use foreman_ollama::{Inventory, OllamaClient};
use foreman_scheduler::{SchedulerHandle, Shutdown};
use prometheus_client::registry::Registry;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::auth::Auth;
use crate::changes::Changes;
use crate::cors::Cors;
use crate::deliveries::Deliveries;
use crate::host::HostCheck;
use crate::reserve::{Arrival, Memory, Place, Places};
use crate::rests::Rests;
use crate::{Metrics, ServeError, ServerConfig, connection};

/// After an error that passes, such as too many open files, accepting rests for so long.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A list may have to look at every job; so many at once leave the store room for others.
const LISTS: usize = 1;
/// A connection on which nothing has come for so long is asked whether its peer is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(1);
/// It is asked again after this time.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// What the server works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The way to the queue.
    pub scheduler: SchedulerHandle,
    /// What the target has.
    pub inventory: Inventory,
    /// Who talks to the target.
    pub client: Arc<dyn OllamaClient>,
    /// A clock that does not jump, such as `SteadyClock`.
    pub clock: Arc<dyn Clock>,
    /// The server's own instruments.
    pub metrics: Metrics,
    /// All instruments of the program, for `/metrics`.
    pub registry: Arc<Registry>,
}

/// The HTTP front.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    parts: Parts,
}

impl Server {
    /// Puts a server together; nothing runs yet.
    pub const fn new(config: ServerConfig, parts: Parts) -> Self {
        Self { config, parts }
    }

    /// Serves until the shutdown, and returns when the last connection has ended.
    ///
    /// # Errors
    ///
    /// A listener that is not usable.
    pub async fn run(self, listener: TcpListener, shutdown: Shutdown) -> Result<(), ServeError> {
        let address = listener.local_addr().map_err(ServeError::Listener)?;
        let tasks = TaskTracker::new();
        let places = Places::new(&self.config);
        let rests = Rests::default();
        let app = Arc::new(self.app(address, &tasks, &shutdown));
        tracing::info!(%address, "listening");
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.drain.cancelled() => break,
                () = shutdown.force.cancelled() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let app = Arc::clone(&app);
                    let shutdown = shutdown.clone();
                    tasks.spawn(connection::serve(
                        Box::new(Arrival::new(stream, place, places.clone(), rests.clone())),
                        app,
                        shutdown,
                    ));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
        drop(listener);
        tracing::info!(connections = tasks.len(), "no longer listening");
        tasks.close();
        tasks.wait().await;
        Ok(())
    }

    fn app(self, address: SocketAddr, tasks: &TaskTracker, shutdown: &Shutdown) -> App {
        let Self { config, parts } = self;
        let Parts {
            scheduler,
            inventory,
            client,
            clock,
            metrics,
            registry,
        } = parts;
        App {
            auth: Auth::new(config.tokens.clone(), config.max_watching),
            memory: Memory::new(config.body_memory),
            deliveries: Deliveries::new(config.answer_memory, metrics.clone()),
            lists: Semaphore::new(LISTS),
            cors: Cors::new(&config.origins),
            host: HostCheck::new(address.ip(), config.hostname.as_deref()),
            changes: Changes::new(inventory.clone(), tasks.clone(), Handle::current()),
            draining: shutdown.drain.clone(),
            request_ids: AtomicU64::new(0),
            config,
            scheduler,
            inventory,
            client,
            clock,
            registry,
            metrics,
        }
    }
}

async fn accept(listener: &TcpListener, places: &Places) -> io::Result<(TcpStream, Place)> {
    let place = places.take().await;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    // A peer that vanished without a word is noticed within minutes, whoever waits for whom.
    let alive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    SockRef::from(&stream).set_tcp_keepalive(&alive)?;
    Ok((stream, place))
}

/// Tells whether the error is one of the connection that was about to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::InvalidInput,
        io::ErrorKind::NotConnected,
    ]
    .contains(&error.kind())
}
