//! What each caller asked and was told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a caller does with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Waits for a stream, and gives up with its connection.
    Stream,
    /// The same for an answer in one piece.
    Whole,
    /// Sends it under a key until it is answered.
    Keyed,
    /// Does not wait, and looks for it later.
    Async,
    /// Does not wait, and cancels it.
    Cancel,
    /// Leaves.
    Leave,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) prompt: String,
    pub(crate) owner: usize,
    pub(crate) kind: Kind,
    /// How often it may have arrived.
    pub(crate) sends: usize,
    /// The jobs that it was said to be.
    pub(crate) jobs: Vec<String>,
    /// The answers that were complete, each with the number of requests that the target had then.
    pub(crate) answers: Vec<(String, u64)>,
    /// The parts of answers that came before a connection broke.
    pub(crate) parts: Vec<String>,
    /// Whether it was said to have run at too many crashes.
    pub(crate) poisoned: bool,
    /// Whether it was said to be cancelled.
    pub(crate) cancelled: bool,
    /// What should never have been said.
    pub(crate) oddities: Vec<String>,
}

/// Everything that was asked.
#[derive(Debug, Default)]
pub(crate) struct History {
    next: AtomicU64,
    entries: Mutex<Vec<Entry>>,
    embeds: Mutex<Embeds>,
}

/// What became of embeddings, which are not queued.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Embeds {
    pub(crate) right: u64,
    pub(crate) wrong: u64,
    pub(crate) lost: u64,
}

impl History {
    /// Begins a request whose prompt there is only once.
    pub(crate) fn begin(&self, owner: usize, kind: Kind, words: usize) -> Entry {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut prompt = format!("number {number}.");
        for word in 0..words {
            prompt = format!("{prompt} w{word}");
        }
        Entry {
            prompt,
            owner,
            kind,
            sends: 0,
            jobs: Vec::new(),
            answers: Vec::new(),
            parts: Vec::new(),
            poisoned: false,
            cancelled: false,
            oddities: Vec::new(),
        }
    }

    /// Notes a request that nobody waits for any more.
    pub(crate) fn end(&self, entry: Entry) {
        lock(&self.entries).push(entry);
    }

    /// Notes an embedding.
    pub(crate) fn embedded(&self, note: impl FnOnce(&mut Embeds)) {
        note(&mut lock(&self.embeds));
    }

    pub(crate) fn embeds(&self) -> Embeds {
        *lock(&self.embeds)
    }

    pub(crate) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *lock(&self.entries))
    }
}

impl Entry {
    /// Tells whether its caller need not ask again.
    pub(crate) fn is_over(&self) -> bool {
        !self.answers.is_empty() || self.poisoned || !self.oddities.is_empty()
    }

    /// Returns what the target says to it.
    pub(crate) fn expected(&self) -> String {
        format!("echo: {}", self.prompt)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
