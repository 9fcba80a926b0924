//! What all requests share.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foreman_job::Clock;
use foreman_ollama::{Inventory, OllamaClient};
use foreman_scheduler::SchedulerHandle;
use http::Request;
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::auth::{Auth, Caller};
use crate::changes::Changes;
use crate::cors::Cors;
use crate::host::HostCheck;
use crate::io::Wishes;
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
