//! The settings of the scheduler.

use std::time::Duration;

use foreman_job::RetryPolicy;
use foreman_ollama::KeepAlive;

/// The settings of the scheduler.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    /// Whether and when failed attempts are repeated.
    pub retry: RetryPolicy,
    /// A job that has waited this long goes next whatever is resident; zero drains strictly.
    pub max_wait: Duration,
    /// How long the target keeps the worker's model after its last job.
    pub keep_alive: KeepAlive,
    /// The model kept resident for embeddings.
    pub embed_model: Option<String>,
    /// The target must send its first byte within this time.
    pub first_byte_timeout: Duration,
    /// The target must not pause longer than this between two bytes.
    pub idle_timeout: Duration,
    /// An attempt must end within this time.
    pub max_run: Duration,
    /// More waiting jobs than this are refused.
    pub max_queue: u64,
    /// Requests and answers are forgotten this long after the end of their job.
    pub retain_bodies: Duration,
    /// Jobs are forgotten this long after their end.
    pub retain_jobs: Duration,
    /// A longer answer fails its job, so that memory stays bounded.
    pub max_output: u64,
}

impl Default for SchedulerConfig {
    /// What a single Ollama on the local network wants.
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            // Long enough for a drain to pay, short enough for a person to wait.
            max_wait: Duration::from_mins(5),
            keep_alive: KeepAlive::For(Duration::from_mins(30)),
            embed_model: None,
            // Ollama itself gives a load that makes no progress five minutes.
            first_byte_timeout: Duration::from_mins(10),
            idle_timeout: Duration::from_mins(2),
            max_run: Duration::from_hours(1),
            max_queue: 10_000,
            retain_bodies: Duration::from_hours(24),
            retain_jobs: Duration::from_hours(24 * 7),
            max_output: 64 * 1024 * 1024,
        }
    }
}
