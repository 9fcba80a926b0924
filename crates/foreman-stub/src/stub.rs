//! The handle on a running stub.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    builder::StubBuilder,
    core::Core,
    error::{StubError, WaitError},
    fault::{FaultHandle, FaultRule},
    gate::{Gate, Hold},
    model::{ModelSpec, Name},
    record::{Counts, Record},
    server::Server,
};

/// How long [`Stub::wait_for`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running stub; it stops when this is dropped.
#[derive(Debug)]
pub struct Stub {
    core: Arc<Core>,
    server: Server,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Stub {
    /// Sets up a stub.
    pub fn builder() -> StubBuilder {
        StubBuilder::default()
    }

    /// Starts a stub with the default models and no delays.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub async fn start() -> Result<Self, StubError> {
        Self::builder().start().await
    }

    pub(crate) fn new(core: Arc<Core>, address: SocketAddr, listener: TcpListener) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (scheduler, stopped) = (Arc::clone(&core.scheduler), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = scheduler.run() => {}
                () = stopped.cancelled() => {}
            }
        });
        let server = Server::start(Arc::clone(&core), address, listener);
        Self {
            core,
            server,
            tasks,
            stop,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Stops for good, and waits until everything is gone.
    pub async fn shutdown(self) {
        self.server.stop().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Goes away as a machine would: connections are closed, new ones refused, the port is kept.
    pub async fn stop_listening(&self) {
        self.server.stop().await;
    }

    /// Listens again on the same port; models stay loaded unless
    /// [`unload_all`](Self::unload_all) was called.
    ///
    /// # Errors
    ///
    /// When somebody else took the port.
    pub async fn resume_listening(&self) -> Result<(), StubError> {
        self.server.resume().await
    }

    /// Unloads every model at once, as a restart would.
    pub fn unload_all(&self) {
        self.core.scheduler.unload_all();
    }

    /// Adds a model, replacing one of the same name.
    ///
    /// # Errors
    ///
    /// When its name is invalid.
    pub fn add_model(&self, spec: ModelSpec) -> Result<(), StubError> {
        let Some(name) = Name::parse(&spec.name) else {
            return Err(StubError::ModelName { name: spec.name });
        };
        self.core.library.add(name, spec, self.core.clock.now());
        Ok(())
    }

    /// Removes a model from the disk; false when there is none of that name.
    pub fn remove_model(&self, name: &str) -> bool {
        Name::parse(name).is_some_and(|name| self.core.library.remove(&name))
    }

    /// Scripts a fault.
    pub fn inject(&self, rule: FaultRule) -> FaultHandle {
        self.core.faults.inject(rule)
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.core.faults.clear();
    }

    /// Holds requests until the gate is released.
    pub fn hold(&self, hold: Hold) -> Gate {
        self.core.gates.hold(hold)
    }

    /// A copy of everything seen so far.
    pub fn record(&self) -> Record {
        self.core.recorder.snapshot()
    }

    /// The sums and maxima of the record.
    pub fn counts(&self) -> Counts {
        self.core.recorder.look(|record| record.counts)
    }

    /// The models that are loaded now, by their short names, the one that stays longest first.
    pub fn resident(&self) -> Vec<String> {
        self.core
            .scheduler
            .resident()
            .iter()
            .map(|runner| runner.model.name.short())
            .collect()
    }

    /// How many requests wait for a model to be loaded.
    pub fn pending_loads(&self) -> usize {
        self.core.scheduler.pending()
    }

    /// Waits until the record fulfils a condition, ten seconds at most; `what` names it.
    ///
    /// # Errors
    ///
    /// When time is over; the error says what the stub has seen.
    pub async fn wait_for(
        &self,
        what: &str,
        condition: impl FnMut(&Record) -> bool,
    ) -> Result<(), WaitError> {
        self.wait_within(PATIENCE, what, condition).await
    }

    /// Waits until the record fulfils a condition.
    ///
    /// # Errors
    ///
    /// When time is over; the error says what the stub has seen.
    pub async fn wait_within(
        &self,
        limit: Duration,
        what: &str,
        mut condition: impl FnMut(&Record) -> bool,
    ) -> Result<(), WaitError> {
        let mut changes = self.core.recorder.subscribe();
        let fulfilled = async {
            while !self.core.recorder.look(&mut condition) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        time::timeout(limit, fulfilled)
            .await
            .map_err(|_| WaitError {
                what: what.to_owned(),
                waited: limit,
                seen: self.core.recorder.look(ToString::to_string),
            })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
