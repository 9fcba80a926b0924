//! The layers, wired together from the settings.

use std::sync::Arc;
use std::time::Duration;

use foreman_job::{Clock, Priority, RetryPolicy, SteadyClock, SystemClock};
use foreman_ollama::{
    Deadlines, HyperClient, Inventory, OllamaClient, Poller, PollerConfig, TargetConfig,
};
use foreman_scheduler::{Scheduler, SchedulerConfig, SeededRandom, Shutdown, last_inventory};
use foreman_server::{Rate, Server, ServerConfig, TokenEntry};
use foreman_store::{QueueStore, SqliteConfig, SqliteStore};
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ServeError;
use super::figures::StoreFigures;
use super::files;
use crate::settings::{Interim, Settings};

/// Bodies of the largest size that are read at once.
const BODIES_AT_ONCE: u64 = 4;

/// How long the start waits for the target before it says that it does not answer.
const FIRST_POLL: Duration = Duration::from_secs(3);

/// The interval of interim responses where only whether was set: below the shortest limit for
/// silence that is known of clients.
const INTERIM: Duration = Duration::from_secs(15);

/// Everything that runs.
pub(super) struct Layers {
    pub(super) store: Arc<SqliteStore>,
    pub(super) inventory: Inventory,
    pub(super) scheduler: Scheduler,
    pub(super) server: Server,
    /// The poller, already running; it ends when this is dropped.
    pub(super) polling: JoinSet<()>,
}

/// The store and the target as the layers above see them.
pub(crate) struct Seams {
    pub(crate) queue: Arc<dyn QueueStore>,
    pub(crate) client: Arc<dyn OllamaClient>,
}

impl Seams {
    pub(super) fn new(settings: &Settings, store: &Arc<SqliteStore>) -> Result<Self, ServeError> {
        let queue: Arc<dyn QueueStore> = Arc::<SqliteStore>::clone(store);
        let client = Arc::new(HyperClient::new(target_config(settings))?);
        Ok(Self { queue, client })
    }
}

impl Layers {
    /// Wires the layers; the poller runs, the rest waits.
    pub(super) async fn build(
        settings: &Settings,
        store: Arc<SqliteStore>,
        Seams { queue, client }: Seams,
        shutdown: &Shutdown,
    ) -> Result<Self, ServeError> {
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::default());
        let seed = last_inventory(queue.as_ref()).await?;
        let poller = Poller::new(
            Arc::clone(&client),
            PollerConfig {
                interval: settings.target.poll_interval,
                ..PollerConfig::default()
            },
            poll_clock(Arc::clone(&clock)),
            seed,
        );
        let inventory = poller.inventory();
        let mut polling = JoinSet::new();
        polling.spawn(poller.run(CancellationToken::new()));
        let mut registry = Registry::default();
        let metrics = foreman_scheduler::Metrics::registered(&mut registry);
        let server_metrics = foreman_server::Metrics::registered(&mut registry);
        registry.register_collector(Box::new(StoreFigures(Arc::clone(&store))));
        let parts = foreman_scheduler::Parts {
            store: queue,
            client: Arc::clone(&client),
            inventory: inventory.clone(),
            clock: Arc::clone(&clock),
            random: Arc::new(SeededRandom::from_entropy()),
            metrics,
        };
        let scheduler = Scheduler::new(parts, scheduler_config(settings), shutdown.clone());
        let parts = foreman_server::Parts {
            scheduler: scheduler.handle(),
            inventory: inventory.clone(),
            client,
            clock,
            metrics: server_metrics,
            registry: Arc::new(registry),
        };
        Ok(Self {
            store,
            inventory,
            scheduler,
            server: Server::new(server_config(settings), parts),
            polling,
        })
    }

    /// Waits a moment for the target, so that the start can tell how it is.
    pub(super) async fn poll_once(&self) {
        // What came of it is in the inventory.
        let _polled = tokio::time::timeout(FIRST_POLL, self.inventory.refresh()).await;
    }
}

/// Returns how the database is to be opened.
pub(super) fn store_config(settings: &Settings) -> SqliteConfig {
    SqliteConfig {
        owner: format!("listening on {}", settings.listen),
        opened_at: Some(SystemClock.now()),
        ..SqliteConfig::new(&settings.db)
    }
}

fn target_config(settings: &Settings) -> TargetConfig {
    TargetConfig {
        url: settings.target.url.to_string(),
        token: settings.target.token.clone(),
        connect_timeout: settings.target.connect_timeout,
        first_byte_timeout: settings.target.first_byte_timeout,
        idle_timeout: settings.target.idle_timeout,
    }
}

fn scheduler_config(settings: &Settings) -> SchedulerConfig {
    let Settings {
        target,
        queue,
        retention,
        ..
    } = settings;
    SchedulerConfig {
        retry: RetryPolicy {
            max_attempts: queue.retry.max_attempts,
            base: queue.retry.base,
            max: queue.retry.max,
        },
        max_wait: queue.max_wait.unwrap_or_default(),
        keep_alive: target.keep_alive,
        embed_model: target.embed_model.clone(),
        first_byte_timeout: target.first_byte_timeout,
        idle_timeout: target.idle_timeout,
        max_run: target.max_run,
        max_queue: queue.max_queue,
        retain_bodies: retention.bodies,
        retain_jobs: retention.jobs,
        ..SchedulerConfig::default()
    }
}

fn server_config(settings: &Settings) -> ServerConfig {
    let tokens = settings.tokens.iter().map(|caller| {
        let most = caller.max_priority.unwrap_or(Priority::High);
        TokenEntry::new(caller.name.clone(), caller.token.expose(), most)
            .with_caps(caller.max_queued, caller.max_concurrent)
            .with_rate(caller.max_rate.map(|rate| Rate {
                times: rate.times,
                per: rate.per.duration(),
            }))
    });
    let max_body = settings.queue.max_body.bytes();
    ServerConfig {
        max_body,
        body_memory: max_body.saturating_mul(BODIES_AT_ONCE),
        max_connections: files::connections(ServerConfig::default().max_connections),
        interim: match settings.interim {
            Interim::Auto => foreman_server::Interim::Auto(INTERIM),
            Interim::On => foreman_server::Interim::On(INTERIM),
            Interim::Every(interval) => foreman_server::Interim::On(interval),
            Interim::Off => foreman_server::Interim::Off,
        },
        tokens: tokens.collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        direct_deadlines: Deadlines {
            first_byte: Some(settings.target.first_byte_timeout),
            idle: Some(settings.target.idle_timeout),
        },
        ..ServerConfig::default()
    }
}

fn poll_clock(clock: Arc<dyn Clock>) -> foreman_ollama::WallClock {
    Arc::new(move || {
        // The clock is within the years that a timestamp can tell.
        jiff::Timestamp::from_millisecond(clock.now().as_millis()).unwrap_or_default()
    })
}
