//! The record as tests read it.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

/// How much is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordMode {
    /// Every request, with its body up to 1 MiB.
    #[default]
    Full,
    /// Every request, without bodies.
    WithoutBodies,
    /// Only counts, loads and evictions.
    Counters,
}

/// Everything that a stub has seen.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Record {
    /// Requests in the order they arrived; empty with [`RecordMode::Counters`].
    pub requests: Vec<RequestRecord>,
    /// Model loads in the order they started.
    pub loads: Vec<Load>,
    /// Models that went away, in order.
    pub evictions: Vec<Eviction>,
    /// Sums and maxima.
    pub counts: Counts,
}

impl Record {
    /// The requests to one path, in order of arrival.
    pub fn on<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a RequestRecord> {
        self.requests
            .iter()
            .filter(move |request| request.path == path)
    }

    /// The requests that reached a runner's slot, in the order they took it.
    pub fn started(&self) -> Vec<&RequestRecord> {
        let mut started: Vec<_> = self
            .requests
            .iter()
            .filter(|r| r.started.is_some())
            .collect();
        started.sort_by_key(|request| request.started);
        started
    }

    /// The names of the models that were loaded, in order.
    pub fn loaded_models(&self) -> Vec<&str> {
        self.loads.iter().map(|load| load.model.as_str()).collect()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            requests,
            open_generations,
            running_generations,
            loads,
            swaps,
            ..
        } = self.counts;
        write!(
            f,
            "{requests} requests, {open_generations} open generations, \
             {running_generations} running, {loads} loads, {swaps} swaps"
        )?;
        for request in self.requests.iter().rev().take(8).rev() {
            let RequestRecord {
                order,
                method,
                path,
                model,
                end,
                ..
            } = request;
            let model = model.as_deref().unwrap_or("-");
            write!(f, "; #{order} {method} {path} {model} {end:?}")?;
        }
        Ok(())
    }
}

/// Sums and maxima over the life of a stub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Requests received.
    pub requests: u64,
    /// Requests to generating routes that are not answered yet, waiting ones included.
    pub open_generations: usize,
    /// The most that were ever open at once.
    pub max_open_generations: usize,
    /// Generations that hold a slot now.
    pub running_generations: usize,
    /// The most that ever held a slot at once.
    pub max_running_generations: usize,
    /// Generations that took a slot.
    pub generations: u64,
    /// Requests to embedding routes that are not answered yet.
    pub open_embeds: usize,
    /// The most that were ever open at once.
    pub max_open_embeds: usize,
    /// Embeddings that took a slot.
    pub embeds: u64,
    /// Loads that were started.
    pub loads: u64,
    /// Loads that nobody waited for to the end.
    pub aborted_loads: u64,
    /// Models that went away.
    pub evictions: u64,
    /// Loads of a generating model when another generating model was loaded last.
    pub swaps: u64,
}

/// One request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Its number, from 1, in order of arrival.
    pub order: u64,
    /// The number of its connection, from 1.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query, when there is one.
    pub query: Option<String>,
    /// The headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: RecordedBody,
    /// The `model` field (or `name`) as it was sent.
    pub model: Option<String>,
    /// When the head was read.
    pub arrived: Timestamp,
    /// A stamp that grows with every arrival, start and end: when the head was read.
    pub arrived_stamp: u64,
    /// The stamp when it took a runner's slot.
    pub started: Option<u64>,
    /// The stamp when it ended.
    pub ended: Option<u64>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Body chunks handed to the connection.
    pub chunks: usize,
    /// Body bytes handed to the connection.
    pub bytes: u64,
    /// How it ended; `None` while it has not.
    pub end: Option<End>,
}

impl RequestRecord {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text; empty when it was not kept.
    pub fn body_text(&self) -> String {
        match &self.body {
            RecordedBody::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            RecordedBody::Digest { .. } | RecordedBody::Length(_) => String::new(),
        }
    }
}

/// What is kept of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedBody {
    /// All of it.
    Bytes(Bytes),
    /// It was over 1 MiB.
    Digest {
        /// Its length.
        length: u64,
        /// Its SHA-256 as hex digits.
        sha256: String,
    },
    /// Bodies are not recorded; only the length is.
    Length(u64),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The whole answer was handed to the connection.
    Complete,
    /// The client went away first.
    ClientGone,
    /// A scripted fault ended it.
    Fault,
    /// The stub stopped listening.
    TargetDown,
}

impl End {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client gone",
            Self::Fault => "fault",
            Self::TargetDown => "target down",
        }
    }
}

/// A load that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// The model, by its canonical short name.
    pub model: String,
    /// Why it was necessary.
    pub reason: LoadReason,
}

/// Why a model was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadReason {
    /// It was not resident.
    Cold,
    /// It was resident with another value of this load option.
    Reload(&'static str),
}

/// A model that went away.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Eviction {
    /// The model, by the name it was loaded under.
    pub model: String,
    /// Why it went.
    pub reason: EvictionReason,
}

/// Why a model went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionReason {
    /// Its keep-alive ended.
    Expired,
    /// A request asked for it.
    Unloaded,
    /// Another model needed the room.
    MadeRoom,
    /// It had to be loaded with other options.
    Reloaded,
    /// Its runner died.
    Crashed,
    /// Its load was given up or failed.
    LoadAborted,
}
