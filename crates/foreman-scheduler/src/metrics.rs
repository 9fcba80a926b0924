//! The scheduler's instruments.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foreman_job::{FailureKind, Job, JobState};
use foreman_ollama::ModelName;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// From a token's time to the longest queue: seconds.
const BUCKETS: [f64; 14] = [
    0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0,
];

/// Models with a label of their own: names are the callers' to choose.
const MODELS: usize = 50;

/// The label of all others.
const OTHER: &str = "other";

type Label = [(&'static str, &'static str); 1];

/// What is told apart of claims that ended. Like [`Token`] it becomes words when somebody reads,
/// since it is counted for each job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Outcome {
    state: JobState,
    model: String,
}

/// A kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Token {
    Prompt,
    Completion,
}

/// The scheduler's instruments; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    outcomes: Family<Outcome, Counter>,
    models: Arc<Mutex<BTreeSet<String>>>,
    failures: Family<Label, Counter>,
    waits: Histogram,
    runs: Histogram,
    tokens: Family<Token, Counter>,
    swaps: Counter,
    swaps_avoided: Counter,
    breaker_open: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            outcomes: Family::default(),
            models: Arc::default(),
            failures: Family::default(),
            waits: Histogram::new(BUCKETS),
            runs: Histogram::new(BUCKETS),
            tokens: Family::default(),
            swaps: Counter::default(),
            swaps_avoided: Counter::default(),
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
            "Claims that ended, by the state that followed and the model",
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
            "foreman_swaps_avoided",
            "Claims that let an older job wait to avoid a swap",
            it.swaps_avoided.clone(),
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
        let outcome = Outcome {
            state: job.progress.state,
            model: self.model_label(&job.model),
        };
        self.outcomes.get_or_create(&outcome).inc();
        self.runs.observe(took.as_secs_f64());
        if let Some(usage) = job.usage {
            let kinds = [
                (Token::Prompt, usage.prompt_tokens),
                (Token::Completion, usage.completion_tokens),
            ];
            for (kind, count) in kinds {
                self.tokens.get_or_create(&kind).inc_by(count);
            }
        }
    }

    /// Returns the label of a model: its name for the first so many that come, then one for all.
    fn model_label(&self, model: &str) -> String {
        let name = ModelName::parse(model)
            .map_or_else(|_| model.to_owned(), |it| it.canonical().to_owned());
        let mut known = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&name) {
            return name;
        }
        if known.len() >= MODELS {
            return OTHER.to_owned();
        }
        known.insert(name.clone());
        name
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

    pub(crate) fn avoided_swap(&self) {
        self.swaps_avoided.inc();
    }

    pub(crate) fn swaps_avoided(&self) -> u64 {
        self.swaps_avoided.get()
    }

    pub(crate) fn breaker(&self, open: bool) {
        self.breaker_open.set(i64::from(open));
    }
}

impl EncodeLabelSet for Outcome {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let (state, model) = (self.state.as_str(), self.model.as_str());
        [("state", state), ("model", model)].encode(encoder)
    }
}

impl EncodeLabelSet for Token {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let kind = match self {
            Self::Prompt => "prompt",
            Self::Completion => "completion",
        };
        [("kind", kind)].encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_one_label_however_it_is_spelled_and_there_are_only_so_many() {
        let metrics = Metrics::default();

        assert_eq!(metrics.model_label("llama3"), "llama3:latest");
        assert_eq!(metrics.model_label("LLama3:latest"), "llama3:latest");
        for number in 1..MODELS {
            assert_ne!(metrics.model_label(&format!("model-{number}")), OTHER);
        }
        assert_eq!(metrics.model_label("one-more"), OTHER);
        assert_eq!(metrics.model_label("llama3"), "llama3:latest");
    }
}
