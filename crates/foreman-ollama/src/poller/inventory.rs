//! The loop that polls the target, and the handle to what it knows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, OllamaClient, unexpected_status};
use crate::error::{ErrorKind, TargetError};
use crate::name::ModelName;
use crate::poller::snapshot::{self, InventorySnapshot, ModelEntry, Polled};

/// More callers than this wait for their turn to ask for a fresh poll.
const MAX_ASKING: usize = 1024;

/// Tells the time of day.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

type Polling = Result<Arc<InventorySnapshot>, TargetError>;

/// How often to poll, and how long a poll may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollerConfig {
    /// Between the starts of two polls.
    pub interval: Duration,
    /// For all requests of one poll together.
    pub deadline: Duration,
}

impl Default for PollerConfig {
    fn default() -> Self {
        Self {
            // Soon enough to see a model that was added by hand, rare enough to let a Mac sleep.
            interval: Duration::from_secs(30),
            // The routes answer from memory; longer means that the target is not well.
            deadline: Duration::from_secs(10),
        }
    }
}

/// Polls the target until it is told to stop; see [`Inventory`] for what it learns.
pub struct Poller {
    client: Arc<dyn OllamaClient>,
    config: PollerConfig,
    inventory: Inventory,
    asking: mpsc::Receiver<oneshot::Sender<Polling>>,
}

/// A cheap handle to what is known of the target.
#[derive(Clone)]
pub struct Inventory {
    current: watch::Sender<Arc<InventorySnapshot>>,
    ask: mpsc::Sender<oneshot::Sender<Polling>>,
    clock: WallClock,
}

impl Poller {
    /// Makes a poller that starts from what was known last, if anything.
    pub fn new(
        client: Arc<dyn OllamaClient>,
        config: PollerConfig,
        clock: WallClock,
        seed: Option<InventorySnapshot>,
    ) -> Self {
        let first = seed.unwrap_or_else(|| InventorySnapshot::empty(clock()));
        let (ask, asking) = mpsc::channel(MAX_ASKING);
        Self {
            client,
            config,
            inventory: Inventory {
                current: watch::Sender::new(Arc::new(first)),
                ask,
                clock,
            },
            asking,
        }
    }

    /// Returns a handle to what is known.
    pub fn inventory(&self) -> Inventory {
        self.inventory.clone()
    }

    /// Polls at once and then at every interval, and whenever somebody asks.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(self.config.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                // Whoever asked is answered before the routine is done.
                biased;
                () = stop.cancelled() => return,
                asked = self.asking.recv() => asked,
                _ = ticks.tick() => None,
            };
            // All who asked before this poll starts share it; later ones get the next.
            let mut waiting = Vec::from_iter(asked);
            while let Ok(asked) = self.asking.try_recv() {
                waiting.push(asked);
            }
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                polled = self.poll() => polled,
            };
            ticks.reset();
            for asked in waiting {
                // Who asked may have left.
                drop(asked.send(polled.clone()));
            }
        }
    }

    async fn poll(&self) -> Polling {
        let polled = match timeout(self.config.deadline, fetch(self.client.as_ref())).await {
            Ok(polled) => polled,
            Err(_elapsed) => Err(TargetError::new(
                ErrorKind::FirstByteTimeout,
                "polling the target",
            )),
        };
        let now = (self.inventory.clock)();
        match polled {
            Ok(polled) => Ok(self.inventory.succeeded(polled, now)),
            Err(error) => {
                self.inventory.failed(&error, now);
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("client", &self.client)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Inventory {
    /// Returns what is known now.
    pub fn snapshot(&self) -> Arc<InventorySnapshot> {
        Arc::clone(&self.current.borrow())
    }

    /// Finds an installed model.
    pub fn lookup(&self, name: &ModelName) -> Option<ModelEntry> {
        self.snapshot().lookup(name).cloned()
    }

    /// Polls the target; callers at the same time share a poll that started after they asked.
    ///
    /// # Errors
    ///
    /// What the poll met, also when the poller has stopped.
    pub async fn refresh(&self) -> Result<Arc<InventorySnapshot>, TargetError> {
        let stopped = || TargetError::new(ErrorKind::Unreachable, "polling the target");
        let (answer, answered) = oneshot::channel();
        self.ask.send(answer).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Takes a request that failed elsewhere as evidence that the target is out of reach.
    ///
    /// Only a failure of the connection is; a slow or broken answer says nothing of that.
    pub fn note_unreachable(&self, error: &TargetError) {
        if error.is_connection_failure() {
            self.failed(error, (self.clock)());
        }
    }

    /// Subscribes to changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<InventorySnapshot>> {
        self.current.subscribe()
    }

    fn succeeded(&self, polled: Polled, now: Timestamp) -> Arc<InventorySnapshot> {
        let mut recovered = false;
        self.current.send_modify(|current| {
            recovered = current.degraded;
            *current = Arc::new(current.after_success(polled, now));
        });
        if recovered {
            tracing::info!("target is within reach again");
        }
        self.snapshot()
    }

    fn failed(&self, error: &TargetError, now: Timestamp) {
        let mut lost = false;
        self.current.send_modify(|current| {
            lost = !current.degraded;
            *current = Arc::new(current.after_failure(error, now));
        });
        if lost {
            tracing::warn!(error.kind = error.kind().as_str(), %error, "target is out of reach");
        }
    }
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inventory")
            .field("current", &self.current.borrow())
            .finish_non_exhaustive()
    }
}

/// Asks everything, one after the other over one connection.
async fn fetch(client: &dyn OllamaClient) -> Result<Polled, TargetError> {
    let version = good("GET /api/version", client.version().await?)?;
    let tags = good("GET /api/tags", client.tags().await?)?;
    let models = snapshot::models(&tags.body).map_err(|error| {
        TargetError::new(ErrorKind::InvalidResponse, "GET /api/tags").with_source(error)
    })?;
    // Older servers do not have this route, and are well without it.
    let v1_models = Some(client.v1_models().await?).filter(snapshot::is_good);
    Ok(Polled {
        version,
        tags,
        models,
        v1_models,
        resident: client.ps().await?,
    })
}

fn good(doing: &'static str, answer: Answer) -> Result<Answer, TargetError> {
    if snapshot::is_good(&answer) {
        Ok(answer)
    } else {
        Err(unexpected_status(doing, answer.status))
    }
}
