//! Collects the record, and wakes those who wait for it to change.

use std::{
    fmt,
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    Counts, End, Eviction, EvictionReason, Kind, Load, LoadReason, Record, RecordMode,
    RequestRecord, Ticket,
};
use crate::{conn::Conn, gojson::Obj, model::Model};

/// The place where everything is written down.
pub(crate) struct Recorder {
    mode: RecordMode,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    lines: Option<Mutex<Box<dyn Write + Send>>>,
}

#[derive(Default)]
struct State {
    record: Record,
    stamp: u64,
    last_generating: Option<String>,
}

impl State {
    fn stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    /// The request with that order number; they are stored in order from 1.
    fn request(&mut self, order: u64) -> Option<&mut RequestRecord> {
        let index = usize::try_from(order.checked_sub(1)?).ok()?;
        self.record.requests.get_mut(index)
    }
}

impl Recorder {
    /// An empty record; `lines` gets one JSON line at the start and end of each request.
    pub(crate) fn new(mode: RecordMode, lines: Option<Box<dyn Write + Send>>) -> Arc<Self> {
        let (state, changes) = (Mutex::default(), watch::Sender::new(0));
        Arc::new(Self {
            mode,
            state,
            changes,
            lines: lines.map(Mutex::new),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        // Whoever subscribes from now on sees what was changed before.
        if self.changes.receiver_count() > 0 {
            self.changes.send_modify(|version| *version += 1);
        }
    }

    /// How much is recorded.
    pub(crate) fn mode(&self) -> RecordMode {
        self.mode
    }

    /// A copy of the record.
    pub(crate) fn snapshot(&self) -> Record {
        self.lock().record.clone()
    }

    /// Looks at the record without copying it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.lock().record)
    }

    /// Gets a new value after every change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Counts a connection and returns its number.
    pub(crate) fn connection(&self) -> u64 {
        let mut state = self.lock();
        state.record.counts.connections += 1;
        state.record.counts.connections
    }

    /// Notes a request whose head was read; its order numbers are filled in here.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        request: Option<RequestRecord>,
        kind: Kind,
        conn: &Arc<Conn>,
    ) -> Ticket {
        let mut state = self.lock();
        state.record.counts.requests += 1;
        let order = state.record.counts.requests;
        let stamp = state.stamp();
        let counts = &mut state.record.counts;
        match kind {
            Kind::Generation => {
                counts.open_generations += 1;
                counts.max_open_generations =
                    counts.max_open_generations.max(counts.open_generations);
            }
            Kind::Embedding => {
                counts.open_embeds += 1;
                counts.max_open_embeds = counts.max_open_embeds.max(counts.open_embeds);
            }
            Kind::Other => {}
        }
        if let Some(mut request) = request {
            request.order = order;
            request.arrived_stamp = stamp;
            state.record.requests.push(request);
        }
        drop(state);
        self.changed();
        Ticket::new(Arc::clone(self), order, kind, Arc::clone(conn))
    }

    /// Changes a recorded request; does nothing when requests are not recorded.
    pub(crate) fn edit(&self, order: u64, edit: impl FnOnce(&mut RequestRecord)) {
        if self.mode == RecordMode::Counters {
            return;
        }
        if let Some(request) = self.lock().request(order) {
            edit(request);
        }
        self.changed();
    }

    /// Notes that a request took a slot.
    pub(crate) fn slot_taken(&self, order: u64, kind: Kind) {
        let mut state = self.lock();
        let stamp = state.stamp();
        let counts = &mut state.record.counts;
        match kind {
            Kind::Generation => {
                counts.generations += 1;
                counts.running_generations += 1;
                let running = counts.running_generations;
                counts.max_running_generations = counts.max_running_generations.max(running);
            }
            Kind::Embedding => counts.embeds += 1,
            Kind::Other => {}
        }
        if let Some(request) = state.request(order) {
            request.started = Some(stamp);
        }
        drop(state);
        self.changed();
    }

    /// Notes that a request gave its slot back.
    pub(crate) fn slot_free(&self, kind: Kind) {
        if kind == Kind::Generation {
            let mut state = self.lock();
            let running = &mut state.record.counts.running_generations;
            *running = running.saturating_sub(1);
            drop(state);
            self.changed();
        }
    }

    /// Notes the end of a request.
    pub(crate) fn ended(&self, order: u64, kind: Kind, summary: &Summary) {
        let mut state = self.lock();
        let stamp = state.stamp();
        let counts = &mut state.record.counts;
        match kind {
            Kind::Generation => counts.open_generations = counts.open_generations.saturating_sub(1),
            Kind::Embedding => counts.open_embeds = counts.open_embeds.saturating_sub(1),
            Kind::Other => {}
        }
        if let Some(request) = state.request(order) {
            request.ended = Some(stamp);
            request.end = Some(summary.end);
            request.chunks = summary.chunks;
            request.bytes = summary.bytes;
            request.status = summary.status;
        }
        drop(state);
        self.changed();
    }

    /// Notes a load.
    pub(crate) fn load(&self, model: &Model, reason: LoadReason) {
        let name = model.name.short();
        let mut state = self.lock();
        state.record.counts.loads += 1;
        if model.generates() {
            let last = state.last_generating.replace(model.spec.blob.clone());
            let swapped = last.is_some_and(|blob| blob != model.spec.blob);
            state.record.counts.swaps += u64::from(swapped);
        }
        state.record.loads.push(Load {
            model: name,
            reason,
        });
        drop(state);
        self.changed();
    }

    /// Notes that a model went away.
    pub(crate) fn evicted(&self, model: &Model, reason: EvictionReason) {
        let eviction = Eviction {
            model: model.name.short(),
            reason,
        };
        let mut state = self.lock();
        let Counts {
            evictions,
            aborted_loads,
            ..
        } = &mut state.record.counts;
        if reason == EvictionReason::LoadAborted {
            *aborted_loads += 1;
        } else {
            *evictions += 1;
        }
        state.record.evictions.push(eviction);
        drop(state);
        self.changed();
    }

    /// True when lines are written.
    pub(crate) fn writes_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes one line about a request.
    pub(crate) fn line(&self, object: Obj) {
        let Some(lines) = &self.lines else { return };
        let line = object.end() + "\n";
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = lines
            .write_all(line.as_bytes())
            .and_then(|()| lines.flush())
        {
            tracing::warn!(%error, "the record cannot be written");
        }
    }
}

/// How a request ended, in figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    /// How it ended.
    pub(crate) end: End,
    /// The status of the answer.
    pub(crate) status: Option<u16>,
    /// Body chunks.
    pub(crate) chunks: usize,
    /// Body bytes.
    pub(crate) bytes: u64,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
