//! What all requests of one stub share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::tz::Offset;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock, cors::Origins, fault::Faults, gate::Gates, model::Library, record::Recorder,
    scheduler::Scheduler,
};

/// Settings that requests look at.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What `/api/version` says.
    pub(crate) version: String,
    /// The zone in which local times are printed.
    pub(crate) offset: Offset,
    /// Time between tokens.
    pub(crate) pace: Duration,
    /// How many tokens an answer has, if not as many as it takes.
    pub(crate) tokens: Option<usize>,
    /// A fixed answer instead of the echo.
    pub(crate) answer: Option<String>,
    /// Who may call from a browser.
    pub(crate) origins: Origins,
    /// True when the Host header is checked.
    pub(crate) check_host: bool,
}

/// Blobs by digest: only their sizes are kept.
pub(crate) type Blobs = Mutex<BTreeMap<String, u64>>;

/// What all requests of one stub share.
#[derive(Debug)]
pub(crate) struct Core {
    /// Settings.
    pub(crate) settings: Settings,
    /// The clock.
    pub(crate) clock: Clock,
    /// The models.
    pub(crate) library: Library,
    /// The scheduler.
    pub(crate) scheduler: Arc<Scheduler>,
    /// Scripted faults.
    pub(crate) faults: Faults,
    /// Gates.
    pub(crate) gates: Arc<Gates>,
    /// The record.
    pub(crate) recorder: Arc<Recorder>,
    /// Uploaded blobs.
    pub(crate) blobs: Blobs,
    /// Ends the listener and its connections.
    pub(crate) listening: Mutex<CancellationToken>,
}

impl Core {
    /// Closes the listener and aborts its connections without waiting for that.
    pub(crate) fn go_down(&self) {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cancel();
    }
}
