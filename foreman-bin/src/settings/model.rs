//! The settings as the program uses them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use foreman_ollama::{KeepAlive, Secret, TargetUrl};

use super::size::ByteSize;
use super::tokens::CallerToken;
use crate::telemetry::{LogFilter, LogFormat};

/// All settings, read and checked. Printing it shows no secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where callers connect.
    pub listen: SocketAddr,
    /// Whether a caller without a token is accepted on any address.
    pub allow_anonymous: bool,
    /// The callers that have a token; empty when none is asked for.
    pub tokens: Vec<CallerToken>,
    /// The database file.
    pub db: PathBuf,
    /// The Ollama server.
    pub target: TargetSettings,
    /// What is accepted, when it is tried again, how long it may wait.
    pub queue: QueueSettings,
    /// How long ended jobs are kept.
    pub retention: RetentionSettings,
    /// Interim responses to waiting callers.
    pub interim: Interim,
    /// How long running jobs may go on after a shutdown is asked for.
    pub shutdown_grace: Duration,
    /// Which log lines are written.
    pub log: LogFilter,
    /// The form of the log lines.
    pub log_format: LogFormat,
}

/// The target and how long to wait for it.
#[derive(Debug, Clone)]
pub struct TargetSettings {
    /// Its address.
    pub url: TargetUrl,
    /// The bearer token sent to it.
    pub token: Option<Secret>,
    /// The embedding model kept loaded; none: no warming.
    pub embed_model: Option<String>,
    /// Time between two looks at its models.
    pub poll_interval: Duration,
    /// How long the worker's model stays loaded after its last job.
    pub keep_alive: KeepAlive,
    /// Limit for connecting.
    pub connect_timeout: Duration,
    /// Limit for the first byte of an answer.
    pub first_byte_timeout: Duration,
    /// Limit between two pieces of an answer.
    pub idle_timeout: Duration,
    /// Limit for one whole attempt.
    pub max_run: Duration,
}

/// The limits of the queue.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// Jobs that may wait, at least one.
    pub max_queue: u64,
    /// Largest request body.
    pub max_body: ByteSize,
    /// Age from which the oldest job goes next whatever is resident; `None` drains strictly.
    pub max_wait: Option<Duration>,
    /// When a job is tried again.
    pub retry: RetrySettings,
}

/// When and how often a job is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// Attempts that may fail, at least one.
    pub max_attempts: u32,
    /// Wait before the second attempt.
    pub base: Duration,
    /// Longest wait, not below `base`.
    pub max: Duration,
}

/// How long ended jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Requests and answers; zero forgets a body with its last byte.
    pub bodies: Duration,
    /// The jobs themselves.
    pub jobs: Duration,
}

/// Interim responses to callers that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interim {
    /// To callers that did not come through a proxy.
    Auto,
    /// To every caller.
    On,
    /// To none.
    Off,
    /// To every caller, this often.
    Every(Duration),
}
