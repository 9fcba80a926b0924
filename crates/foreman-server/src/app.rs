//! What all requests share.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foreman_job::Clock;
use foreman_ollama::{Inventory, OllamaClient};
use foreman_scheduler::SchedulerHandle;
use http::Request;
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::{Auth, Caller};
use crate::changes::Changes;
use crate::cors::Cors;
use crate::deliveries::Deliveries;
use crate::host::HostCheck;
use crate::io::Wishes;
use crate::request::{Limits, Pace};
use crate::reserve::Memory;
use crate::{Metrics, ServerConfig};

/// What all requests share.
pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) scheduler: SchedulerHandle,
    pub(crate) inventory: Inventory,
    pub(crate) client: Arc<dyn OllamaClient>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) metrics: Metrics,
    pub(crate) auth: Auth,
    pub(crate) cors: Cors,
    pub(crate) host: HostCheck,
    pub(crate) changes: Changes,
    /// Of the bodies that are read.
    pub(crate) memory: Memory,
    /// Answers that are given.
    pub(crate) deliveries: Deliveries,
    /// Taken while jobs are listed.
    pub(crate) lists: Semaphore,
    pub(crate) draining: CancellationToken,
    pub(crate) request_ids: AtomicU64,
}

/// A request that may be answered, and what is known of it.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
    /// What may be asked of its connection.
    pub(crate) wishes: Arc<Wishes>,
    pub(crate) request: Box<Request<Incoming>>,
}

impl App {
    /// Returns the limits of a body that is read whole, and may have so many bytes.
    pub(crate) fn limits(&self, size: u64) -> Limits<'_> {
        Limits {
            size,
            memory: &self.memory,
            pace: self.pace(Some(self.config.body_timeout)),
        }
    }

    /// Returns how fast a body must come.
    pub(crate) const fn pace(&self, total: Option<Duration>) -> Pace {
        Pace {
            idle: self.config.body_idle_timeout,
            rate: self.config.body_rate,
            total,
        }
    }

    /// Returns after how many seconds so many jobs will be done, 1 to 120.
    pub(crate) fn retry_after(&self, jobs: u64) -> u64 {
        self.scheduler.time_for(jobs).as_secs().clamp(1, 120)
    }

    /// Returns a fresh id in the form that Anthropic's API gives to requests.
    pub(crate) fn request_id(&self) -> String {
        let number = self.request_ids.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now().as_millis();
        let digest: [u8; 32] = Sha256::digest(format!("{now} {number}")).into();
        let mut id = "req_".to_owned();
        for byte in digest.iter().take(12) {
            // Writing to a string does not fail.
            let _written = write!(id, "{byte:02x}");
        }
        id
    }
}
