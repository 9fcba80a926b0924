//! The scheduler's instruments.

use std::time::Duration;

use foreman_job::{FailureKind, Job, JobState};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// From a token's time to the longest queue: seconds.
const BUCKETS: [f64; 14] = [
    0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0,
];

type Label = [(&'static str, &'static str); 1];

/// The scheduler's instruments; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    outcomes: Family<Label, Counter>,
    failures: Family<Label, Counter>,
    waits: Histogram,
    runs: Histogram,
    tokens: Family<Label, Counter>,
    swaps: Counter,
    breaker_open: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            outcomes: Family::default(),
            failures: Family::default(),
            waits: Histogram::new(BUCKETS),
            runs: Histogram::new(BUCKETS),
            tokens: Family::default(),
            swaps: Counter::default(),
            breaker_open: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Makes the instruments and adds them to the program's registry.
    pub fn registered(registry: &mut Registry) -> Self {
        let it = Self::default();
        registry.register(
            "foreman_jobs_settled",
            "Claims that ended, by the state that followed",
            it.outcomes.clone(),
        );
        registry.register(
            "foreman_attempts_failed",
            "Attempts that failed, by class",
            it.failures.clone(),
        );
        registry.register(
            "foreman_job_wait_seconds",
            "Time from acceptance to claim",
            it.waits.clone(),
        );
        registry.register(
            "foreman_attempt_seconds",
            "Time from dispatch to the end of the answer",
            it.runs.clone(),
        );
        registry.register(
            "foreman_tokens",
            "Tokens that the target reported, by kind",
            it.tokens.clone(),
        );
        registry.register(
            "foreman_swaps",
            "Jobs for which the target had to load a model",
            it.swaps.clone(),
        );
        registry.register(
            "foreman_breaker_open",
            "1 while nothing is sent to the target",
            it.breaker_open.clone(),
        );
        it
    }

    pub(crate) fn claimed(&self, job: &Job) {
        let claimed_at = job.claimed_at.unwrap_or(job.created_at);
        let wait = claimed_at.since(job.created_at);
        self.waits.observe(wait.as_secs_f64());
    }

    pub(crate) fn settled(&self, job: &Job, took: Duration) {
        let state: JobState = job.progress.state;
        self.outcomes
            .get_or_create(&[("state", state.as_str())])
            .inc();
        self.runs.observe(took.as_secs_f64());
        if let Some(usage) = job.usage {
            let kinds = [
                ("prompt", usage.prompt_tokens),
                ("completion", usage.completion_tokens),
            ];
            for (kind, count) in kinds {
                self.tokens.get_or_create(&[("kind", kind)]).inc_by(count);
            }
        }
    }

    pub(crate) fn attempt_failed(&self, kind: FailureKind) {
        self.failures.get_or_create(&[("code", kind.code())]).inc();
    }

    pub(crate) fn swapped(&self) {
        self.swaps.inc();
    }

    pub(crate) fn swaps(&self) -> u64 {
        self.swaps.get()
    }

    pub(crate) fn breaker(&self, open: bool) {
        self.breaker_open.set(i64::from(open));
    }
}
