//! The life of one request in the record; whatever happens, it ends exactly once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering},
};

use super::{End, Recorder, recorder::Summary};
use crate::{conn::Conn, gojson::Obj};

/// What a route does, as far as overlap is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Generates text.
    Generation,
    /// Embeds.
    Embedding,
    /// Neither.
    Other,
}

/// What a line about the start of a request says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening<'a> {
    /// The method.
    pub(crate) method: &'a str,
    /// The path.
    pub(crate) path: &'a str,
    /// The model as it was sent.
    pub(crate) model: Option<&'a str>,
    /// The body.
    pub(crate) body: &'a [u8],
}

/// One request in the record. Dropped before [`Ticket::end`], its connection says how it ended.
#[derive(Debug)]
pub(crate) struct Ticket {
    recorder: Arc<Recorder>,
    order: u64,
    kind: Kind,
    conn: Arc<Conn>,
    ended: AtomicBool,
    status: AtomicU16,
    chunks: AtomicUsize,
    bytes: AtomicU64,
}

impl Ticket {
    pub(super) fn new(recorder: Arc<Recorder>, order: u64, kind: Kind, conn: Arc<Conn>) -> Self {
        Self {
            recorder,
            order,
            kind,
            conn,
            ended: AtomicBool::new(false),
            status: AtomicU16::new(0),
            chunks: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Its number in order of arrival.
    pub(crate) fn order(&self) -> u64 {
        self.order
    }

    /// Writes the line about its start.
    pub(crate) fn open(&self, opening: &Opening<'_>) {
        if !self.recorder.writes_lines() {
            return;
        }
        let Opening {
            method,
            path,
            model,
            body,
        } = *opening;
        let mut line = Obj::new().str("event", "start").put("order", self.order);
        line = line.str("method", method).str("path", path);
        if let Some(model) = model {
            line = line.str("model", model);
        }
        self.recorder
            .line(line.str("body", &String::from_utf8_lossy(body)));
    }

    /// Notes the status of the answer.
    pub(crate) fn answered(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
        self.recorder
            .edit(self.order, |request| request.status = Some(status));
    }

    /// Notes a chunk that was handed to the connection.
    pub(crate) fn chunk(&self, length: usize) {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let chunks = self.chunks.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(length, Ordering::Relaxed) + length;
        self.recorder.edit(self.order, |request| {
            (request.chunks, request.bytes) = (chunks, bytes);
        });
    }

    /// Takes a slot; it counts as running until the guard is dropped.
    pub(crate) fn take_slot(&self) -> Running {
        self.recorder.slot_taken(self.order, self.kind);
        Running {
            recorder: Arc::clone(&self.recorder),
            kind: self.kind,
        }
    }

    /// Notes the end; only the first call counts.
    pub(crate) fn end(&self, end: End) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let status = self.status.load(Ordering::Relaxed);
        let summary = Summary {
            end,
            status: (status != 0).then_some(status),
            chunks: self.chunks.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        };
        self.recorder.ended(self.order, self.kind, &summary);
        if self.recorder.writes_lines() {
            let line = Obj::new()
                .str("event", "end")
                .put("order", self.order)
                .put("status", status);
            let line = line
                .put("chunks", summary.chunks)
                .put("bytes", summary.bytes);
            self.recorder.line(line.str("end", end.as_str()));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(self.conn.end());
    }
}

/// A request that holds a slot.
#[derive(Debug)]
pub(crate) struct Running {
    recorder: Arc<Recorder>,
    kind: Kind,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.recorder.slot_free(self.kind);
    }
}
