//! The scheduler as requests use it: asking for runners, giving them back, looking at them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::watch;

use super::{
    Keep, Lease, LoadOptions, Resident,
    runner::Runner,
    state::{Found, State},
};
use crate::{
    clock::Clock,
    gate::Gates,
    model::Model,
    record::{EvictionReason, Recorder},
};

/// The limits of a stub's scheduler.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Models that may be loaded at once.
    pub(crate) max_loaded: usize,
    /// Requests that a runner works on at once.
    pub(crate) parallel: usize,
    /// Requests that may wait for a load.
    pub(crate) max_queue: usize,
    /// How long a load takes.
    pub(crate) load_time: Duration,
    /// Keep-alive of a model loaded without one.
    pub(crate) keep_alive: Keep,
    /// Context of a model loaded without one.
    pub(crate) context: i64,
    /// Memory for models, when it is limited.
    pub(crate) memory: Option<u64>,
}

/// A request for a runner.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The model.
    pub(crate) model: Arc<Model>,
    /// Options that a runner is loaded with.
    pub(crate) options: LoadOptions,
    /// How long the runner stays when idle, if the request says so.
    pub(crate) keep: Option<Keep>,
    /// A scripted fault of the load.
    pub(crate) fault: Option<LoadFault>,
}

/// What goes wrong with a load.
#[derive(Clone, Debug)]
pub(crate) enum LoadFault {
    /// It takes longer.
    Slow(Duration),
    /// It ends with an error.
    Fails(String),
}

/// Why there is no runner.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many requests wait for a load.
    #[error("server busy, please try again.  maximum pending requests exceeded")]
    Busy,
    /// The load went wrong.
    #[error("{0}")]
    LoadFailed(String),
}

/// The scheduler of one stub.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) gates: Arc<Gates>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) state: Mutex<State>,
    pub(super) changes: watch::Sender<u64>,
}

impl Scheduler {
    /// A scheduler with nothing loaded; it works while [`Scheduler::run`] is polled.
    pub(crate) fn new(
        limits: Limits,
        clock: Clock,
        gates: Arc<Gates>,
        recorder: Arc<Recorder>,
    ) -> Arc<Self> {
        let (state, changes) = (Mutex::default(), watch::Sender::new(0));
        Arc::new(Self {
            limits,
            clock,
            gates,
            recorder,
            state,
            changes,
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// Waits for a runner with these options.
    ///
    /// # Cancel safety
    ///
    /// Dropped while its load runs, the load is aborted; dropped while it queues, its place is
    /// kept until the worker comes to it.
    pub(crate) async fn acquire(self: &Arc<Self>, ask: &Ask) -> Result<Lease, Refusal> {
        let mut changes = None;
        loop {
            let queued = {
                let mut state = self.lock();
                match state.find(ask, self.limits.context) {
                    Found::Ready(id) => return Ok(self.lease(&mut state, id, ask.keep)),
                    Found::Loading => None,
                    Found::Missing => Some(state.enqueue(ask, self.limits.max_queue)?),
                }
            };
            match (queued, &mut changes) {
                (Some(reply), _) => {
                    self.changed();
                    let gone = || Refusal::LoadFailed("the server is shutting down".to_owned());
                    return reply.await.unwrap_or_else(|_| Err(gone()));
                }
                // Looks again after it subscribed, or a load that ends in between is missed.
                (None, None) => changes = Some(self.changes.subscribe()),
                (None, Some(changes)) => {
                    let waited = changes.changed().await;
                    debug_assert!(waited.is_ok(), "the scheduler owns the sender");
                }
            }
        }
    }

    /// Hands out a loaded runner.
    pub(super) fn lease(self: &Arc<Self>, state: &mut State, id: u64, keep: Option<Keep>) -> Lease {
        let slots = state.hold(id, keep);
        Lease::new(Arc::clone(self), id, slots)
    }

    /// Takes back what a lease held.
    pub(super) fn release(&self, id: u64) {
        let mut state = self.lock();
        let Some(idle) = state.release(id, self.clock.now()) else {
            return;
        };
        let gone = idle.leaves.then(|| state.remove(id)).flatten();
        let wake = idle.wakes_reaper;
        drop(state);
        if let Some(runner) = &gone {
            self.left(runner, runner.leaving.unwrap_or(EvictionReason::Expired));
        }
        if wake || gone.is_some() {
            self.changed();
        }
    }

    /// Unloads the model when it is idle, now or later; does not wait for either.
    pub(crate) fn unload(&self, model: &Model) {
        let gone = self
            .lock()
            .expire(&model.spec.blob, EvictionReason::Unloaded, self.clock.now());
        if let Some(runner) = gone {
            self.left(&runner, EvictionReason::Unloaded);
            self.changed();
        }
    }

    /// Unloads everything at once, as a restart of the target would.
    pub(crate) fn unload_all(&self) {
        let gone = self.lock().clear();
        for runner in &gone {
            self.left(runner, EvictionReason::Unloaded);
        }
        self.changed();
    }

    /// The runner of a lease dies, which nobody notices until it is asked for again.
    pub(crate) fn crash(&self, lease: &Lease) {
        let dead = self.lock().die(lease.id());
        if let Some(model) = dead {
            self.recorder.evicted(&model, EvictionReason::Crashed);
            self.changed();
        }
    }

    /// Notes that a runner went away; of a dead one that was noted when it died.
    pub(super) fn left(&self, runner: &Runner, reason: EvictionReason) {
        if !runner.dead {
            self.recorder.evicted(&runner.model, reason);
        }
    }

    /// The loaded models, the one that stays longest first.
    pub(crate) fn resident(&self) -> Vec<Resident> {
        let now: Timestamp = self.clock.now();
        let mut resident = self.lock().resident(now);
        resident.sort_by_key(|runner| std::cmp::Reverse(runner.expires.as_second()));
        resident
    }

    /// How many requests wait for a load, the one in the worker's hand included.
    pub(crate) fn pending(&self) -> usize {
        self.lock().pending()
    }
}
