//! The settings of the server.

use std::fmt;
use std::time::Duration;

use foreman_job::Priority;
use foreman_ollama::Deadlines;
use sha2::{Digest, Sha256};

/// The settings of the server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Larger bodies of queued requests are refused.
    pub max_body: u64,
    /// Whether waiting callers get interim responses.
    pub interim: Interim,
    /// A caller must send the whole head of its request within this time from its first byte; the
    /// first head of a connection from its beginning.
    pub header_timeout: Duration,
    /// A connection on which nothing is asked for this long is closed.
    pub keep_alive_timeout: Duration,
    /// The head of a request must fit in so many bytes; hyper takes no less than 8 KiB.
    pub max_head: usize,
    /// More headers than this are refused.
    pub max_headers: usize,
    /// A caller must not pause longer than this within the body of its request.
    pub body_idle_timeout: Duration,
    /// A body that is read before it is sent on must be there within this time.
    pub body_timeout: Duration,
    /// Beyond [`body_idle_timeout`](Self::body_idle_timeout) a body must have come with so many
    /// bytes a second on average.
    pub body_rate: u64,
    /// Bodies that were read and not handed on yet hold no more memory than this together.
    pub body_memory: u64,
    /// Answers that are given hold no more memory than this together: beyond it the slowest readers
    /// are cut off.
    pub answer_memory: u64,
    /// A caller that takes no byte for this long, although there are some, is dropped.
    pub write_stall_timeout: Duration,
    /// More connections than this are told to come back later.
    pub max_connections: usize,
    /// So many connections beyond [`max_connections`](Self::max_connections) are served foreman's
    /// own pages, so that it can be looked at and steered when it is crowded.
    pub reserved_connections: usize,
    /// So many requests of one caller may follow jobs, or wait for their end, at once.
    pub max_watching: u64,
    /// So many jobs may be submitted by one request.
    pub max_batch: usize,
    /// Who may call; empty: everybody.
    pub tokens: Vec<TokenEntry>,
    /// Web origins that may call, besides those that Ollama allows by itself; `*` allows all.
    pub origins: Vec<String>,
    /// The name of this machine, accepted in `Host` on loopback listeners.
    pub hostname: Option<String>,
    /// Foreman's version, as the health page shows it.
    pub version: String,
    /// How long direct requests (embeddings) may wait for the target.
    pub direct_deadlines: Deadlines,
}

/// When callers that wait get interim responses (`102 Processing`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interim {
    /// Never.
    Off,
    /// This often, but never to a request that came through a proxy.
    Auto(Duration),
    /// This often.
    On(Duration),
}

/// A caller and how it proves who it is.
#[derive(Clone)]
pub struct TokenEntry {
    name: String,
    digest: [u8; 32],
    max_priority: Priority,
    max_queued: Option<u64>,
    max_concurrent: Option<u64>,
    max_rate: Option<Rate>,
}

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many times at once, after a pause.
    pub times: u64,
    /// In this time that many more.
    pub per: Duration,
}

impl Default for ServerConfig {
    /// What a few hundred callers on a local network want.
    fn default() -> Self {
        Self {
            // Some tens of images as base64.
            max_body: 256 * 1024 * 1024,
            // Below the shortest limit for silence that was seen in clients.
            interim: Interim::Auto(Duration::from_secs(15)),
            header_timeout: Duration::from_secs(10),
            // Longer than the minute for which most clients keep idle connections.
            keep_alive_timeout: Duration::from_secs(75),
            // The largest tokens and cookies that are seen have some 16 KiB.
            max_head: 64 * 1024,
            max_headers: 100,
            body_idle_timeout: Duration::from_secs(30),
            // The largest body over some 2 Mbit/s.
            body_timeout: Duration::from_mins(15),
            body_rate: 1024,
            // Four of the largest.
            body_memory: 1024 * 1024 * 1024,
            // Eight of the largest.
            answer_memory: 512 * 1024 * 1024,
            // A laptop that sleeps for a moment survives it; a dead one costs no memory for long.
            write_stall_timeout: Duration::from_mins(1),
            // Ten thousand waiting callers, and room for others.
            max_connections: 16_384,
            reserved_connections: 64,
            // Every job that a busy program has in the queue.
            max_watching: 1024,
            // As many as may wait by default.
            max_batch: 10_000,
            tokens: Vec::new(),
            origins: Vec::new(),
            hostname: None,
            version: String::new(),
            // As jobs wait for the target.
            direct_deadlines: Deadlines {
                first_byte: Some(Duration::from_mins(10)),
                idle: Some(Duration::from_mins(2)),
            },
        }
    }
}

impl TokenEntry {
    /// Makes an entry; only a digest of the token is kept.
    pub fn new(name: impl Into<String>, token: &str, max_priority: Priority) -> Self {
        Self {
            name: name.into(),
            digest: Sha256::digest(token.as_bytes()).into(),
            max_priority,
            max_queued: None,
            max_concurrent: None,
            max_rate: None,
        }
    }

    /// Bounds how many jobs of the caller may wait, and how many of its requests may be open at
    /// once.
    #[must_use]
    pub const fn with_caps(mut self, queued: Option<u64>, concurrent: Option<u64>) -> Self {
        self.max_queued = queued;
        self.max_concurrent = concurrent;
        self
    }

    /// Bounds how often the caller may ask for something.
    #[must_use]
    pub const fn with_rate(mut self, rate: Option<Rate>) -> Self {
        self.max_rate = rate;
        self
    }

    /// Returns the caller's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the most urgent class that the caller may ask for.
    pub const fn max_priority(&self) -> Priority {
        self.max_priority
    }

    pub(crate) const fn max_queued(&self) -> Option<u64> {
        self.max_queued
    }

    pub(crate) const fn max_concurrent(&self) -> Option<u64> {
        self.max_concurrent
    }

    pub(crate) const fn max_rate(&self) -> Option<Rate> {
        self.max_rate
    }

    pub(crate) const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl fmt::Debug for TokenEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEntry")
            .field("name", &self.name)
            .field("max_priority", &self.max_priority)
            .field("max_queued", &self.max_queued)
            .field("max_concurrent", &self.max_concurrent)
            .field("max_rate", &self.max_rate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_token_nor_its_digest_is_shown() {
        let entry = TokenEntry::new("alice", "open sesame", Priority::Normal);

        let shown = format!("{entry:?}");

        assert!(shown.contains("alice"));
        assert!(!shown.contains("sesame"));
        assert!(!shown.contains(&format!("{:?}", entry.digest())));
    }
}
