//! The log of a job: everything that happened to it, numbered over its whole life.
//!
//! The first event, that the job was queued, and the last, its end, are told by the job itself and
//! are never written. What lies between is appended by its runs.

use bytes::Bytes;
use foreman_job::{Job, JobFailure, JobState};

/// The number of the event that every job begins with.
pub const FIRST_EVENT: u64 = 1;

/// Something that happened to a job, as its followers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// It has this state now; never a terminal one.
    State(JobState),
    /// A run broke off after parts of it were logged: what came before does not count.
    Reset,
    /// A chunk of the answer, as the target sent it.
    Chunk(Bytes),
    /// It ended; nothing follows.
    End {
        /// How.
        state: JobState,
        /// What went wrong, if it failed.
        failure: Option<JobFailure>,
    },
}

/// Events of a run, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunLog {
    /// The number of the first of them.
    pub first: u64,
    /// The events; no [`LogEvent::End`], since the end of a job is told by its state.
    pub events: Vec<LogEvent>,
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number: dense, from [`FIRST_EVENT`] on.
    pub n: u64,
    /// Attempts of the job that had failed before.
    pub attempt: u32,
    /// What happened.
    pub event: LogEvent,
}

/// A part of a job's log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The job as it was when the log was read.
    pub job: Job,
    /// The events; none when nothing has happened since the place that was asked for.
    pub entries: Vec<LogEntry>,
    /// Whether the job's bodies were purged, so that its log cannot be told any more.
    pub pruned: bool,
}

impl RunLog {
    /// Returns how many bytes of answers are in it.
    pub fn size(&self) -> u64 {
        self.events.iter().map(LogEvent::size).sum()
    }

    /// Returns the events from a number on; none when they do not reach that far back.
    pub(crate) fn from(&self, next: u64) -> Option<&[LogEvent]> {
        let known = next.checked_sub(self.first)?;
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        Some(self.events.get(known..).unwrap_or_default())
    }
}

impl LogEvent {
    fn size(&self) -> u64 {
        match self {
            Self::Chunk(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::State(_) | Self::Reset | Self::End { .. } => 0,
        }
    }
}

impl LogPage {
    /// Tells whether nothing will follow these events.
    pub fn is_last(&self) -> bool {
        let last = self.entries.last();
        last.is_some_and(|entry| matches!(entry.event, LogEvent::End { .. }))
    }
}

/// How far into a log a reader has come, and how much it takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) after: u64,
    pub(crate) limit: usize,
}

impl Span {
    pub(crate) const fn next(self) -> u64 {
        self.after.saturating_add(1)
    }
}

/// A page holds at most about so many bytes of answers.
const PAGE_BYTES: u64 = 1024 * 1024;

/// Collects the entries of a page.
#[derive(Debug)]
pub(crate) struct Collector {
    span: Span,
    size: u64,
    entries: Vec<LogEntry>,
}

impl Collector {
    pub(crate) const fn new(span: Span) -> Self {
        Self {
            span,
            size: 0,
            entries: Vec::new(),
        }
    }

    /// Takes an entry; entries before the place that was asked for are passed over.
    pub(crate) fn take(&mut self, entry: LogEntry) {
        if entry.n > self.span.after && !self.is_full() {
            self.size = self.size.saturating_add(entry.event.size());
            self.entries.push(entry);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.span.limit.max(1) || self.size >= PAGE_BYTES
    }

    pub(crate) fn into_entries(self) -> Vec<LogEntry> {
        self.entries
    }
}

/// Puts the written events of a job between those that it tells by itself.
pub(crate) fn page(job: Job, span: Span, last: u64, written: Vec<LogEntry>) -> LogPage {
    let mut entries = Vec::with_capacity(written.len().saturating_add(2));
    if span.after < FIRST_EVENT {
        entries.push(LogEntry {
            n: FIRST_EVENT,
            attempt: 0,
            event: LogEvent::State(JobState::Queued),
        });
    }
    entries.extend(written);
    let reached = entries.last().map_or(span.after, |entry| entry.n);
    if job.progress.state.is_terminal() && reached >= last {
        entries.push(LogEntry {
            n: last.saturating_add(1),
            attempt: job.progress.attempt,
            event: LogEvent::End {
                state: job.progress.state,
                failure: job.failure.clone(),
            },
        });
    }
    LogPage {
        job,
        entries,
        pruned: false,
    }
}
