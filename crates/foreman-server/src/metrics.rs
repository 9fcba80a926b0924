//! The server's instruments.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use foreman_job::{JobState, Timestamp};
use foreman_ollama::InventorySnapshot;
use foreman_store::QueueCounts;
use http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::router::Class;

/// From an answer out of memory to the longest queue: seconds.
const BUCKETS: [f64; 14] = [
    0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 3_600.0,
];

/// Models with a label of their own: names are the callers' to choose.
const MODELS: usize = 50;

/// The label of all others.
const OTHER: &str = "other";

type ModelLabel = [(&'static str, String); 1];
type StateLabel = [(&'static str, &'static str); 1];

/// What is told apart of requests that ended. It becomes words when somebody reads, since it is
/// counted for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ended {
    class: Class,
    /// None where the caller left before there was one.
    status: Option<StatusCode>,
}

/// The server's instruments; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<Ended, Counter>,
    durations: Family<Class, Histogram, fn() -> Histogram>,
    panics: Counter,
    connections: Gauge,
    evicted: Counter,
    cut_off: Counter,
    waiting: Gauge,
    streams: Gauge,
    jobs: Family<StateLabel, Gauge>,
    depth: Family<ModelLabel, Gauge>,
    oldest: Gauge<i64>,
    target_up: Gauge,
    poll_age: Gauge<i64>,
}

/// Counts something while it lasts.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            panics: Counter::default(),
            connections: Gauge::default(),
            evicted: Counter::default(),
            cut_off: Counter::default(),
            waiting: Gauge::default(),
            streams: Gauge::default(),
            jobs: Family::default(),
            depth: Family::default(),
            oldest: Gauge::default(),
            target_up: Gauge::default(),
            poll_age: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Makes the instruments and adds them to the program's registry.
    pub fn registered(registry: &mut Registry) -> Self {
        let it = Self::default();
        registry.register(
            "foreman_http_requests",
            "Requests that ended, by class of route and status",
            it.requests.clone(),
        );
        registry.register(
            "foreman_http_request_seconds",
            "Time from the head of a request to the end of its answer, by class of route",
            it.durations.clone(),
        );
        registry.register(
            "foreman_http_panics",
            "Requests that met a defect of foreman",
            it.panics.clone(),
        );
        registry.register(
            "foreman_http_connections",
            "Open connections of callers",
            it.connections.clone(),
        );
        registry.register(
            "foreman_http_connections_evicted",
            "Connections on which nothing was asked, closed for others when it was crowded",
            it.evicted.clone(),
        );
        registry.register(
            "foreman_http_readers_cut_off",
            "Readers that were too slow when unread answers took too much memory",
            it.cut_off.clone(),
        );
        registry.register(
            "foreman_http_waiting_callers",
            "Callers whose job has not been answered yet",
            it.waiting.clone(),
        );
        registry.register(
            "foreman_http_open_streams",
            "Answers that are given to callers while they come",
            it.streams.clone(),
        );
        it.register_snapshots(registry);
        it
    }

    /// The instruments that are set when somebody looks.
    fn register_snapshots(&self, registry: &mut Registry) {
        registry.register("foreman_jobs", "Jobs by state", self.jobs.clone());
        registry.register(
            "foreman_queue_depth",
            "Waiting jobs by model",
            self.depth.clone(),
        );
        registry.register(
            "foreman_queue_oldest_seconds",
            "Age of the oldest waiting job",
            self.oldest.clone(),
        );
        registry.register(
            "foreman_target_up",
            "1 while the target is within reach",
            self.target_up.clone(),
        );
        registry.register(
            "foreman_poll_age_seconds",
            "Time since the last good poll of the target",
            self.poll_age.clone(),
        );
    }

    pub(crate) fn ended(&self, class: Class, status: Option<StatusCode>, took: Duration) {
        self.requests.get_or_create(&Ended { class, status }).inc();
        self.durations
            .get_or_create(&class)
            .observe(took.as_secs_f64());
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    pub(crate) fn made_room(&self) {
        self.evicted.inc();
    }

    pub(crate) fn cut_off(&self, readers: u64) {
        self.cut_off.inc_by(readers);
    }

    pub(crate) fn connection(&self) -> Counted {
        Counted::new(&self.connections)
    }

    pub(crate) fn waiting_caller(&self) -> Counted {
        Counted::new(&self.waiting)
    }

    pub(crate) fn open_stream(&self) -> Counted {
        Counted::new(&self.streams)
    }

    /// Notes the figures that are known without counting.
    pub(crate) fn observe(
        &self,
        now: Timestamp,
        counts: QueueCounts,
        oldest: Option<Timestamp>,
        target: &InventorySnapshot,
    ) {
        for state in JobState::ALL {
            let count = i64::try_from(counts.of(state)).unwrap_or(i64::MAX);
            self.jobs
                .get_or_create(&[("state", state.as_str())])
                .set(count);
        }
        let age = oldest.map_or(Duration::ZERO, |oldest| now.since(oldest));
        self.oldest.set(seconds(age));
        let up = target.last_poll.is_some() && !target.degraded;
        self.target_up.set(i64::from(up));
        if let Some(polled) = target.last_poll {
            let polled = Timestamp::from_millis(polled.as_millisecond());
            self.poll_age.set(seconds(now.since(polled)));
        }
    }
}

impl Metrics {
    /// Notes how many jobs wait for each model: for the models with the most, and all others.
    pub(crate) fn observe_depths(&self, by_model: &BTreeMap<String, u64>) {
        let mut models: Vec<(&String, &u64)> = by_model.iter().collect();
        models.sort_by_key(|(_, jobs)| Reverse(**jobs));
        // A model for which nothing waits any more goes.
        self.depth.clear();
        for (place, (model, jobs)) in models.into_iter().enumerate() {
            let name = if place < MODELS { model } else { OTHER };
            let jobs = i64::try_from(*jobs).unwrap_or(i64::MAX);
            self.depth
                .get_or_create(&[("model", name.to_owned())])
                .inc_by(jobs);
        }
    }
}

impl EncodeLabelSet for Ended {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let status = self.status.as_ref().map_or("none", StatusCode::as_str);
        [("route", self.class.as_str()), ("status", status)].encode(encoder)
    }
}

impl EncodeLabelSet for Class {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("route", self.as_str())].encode(encoder)
    }
}

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Writes all instruments of the program.
pub(crate) fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_for_many_models_has_a_bounded_number_of_labels_and_no_stale_ones() {
        let mut registry = Registry::default();
        let metrics = Metrics::registered(&mut registry);
        let many = (0..MODELS + 2).map(|n| (format!("model-{n}"), if n < 2 { 1 } else { 9 }));
        let lines = |registry: &Registry| -> Vec<String> {
            let text = text(registry).unwrap();
            let lines = text
                .lines()
                .filter(|it| it.starts_with("foreman_queue_depth{"));
            lines.map(str::to_owned).collect()
        };

        metrics.observe_depths(&many.collect());
        let first = lines(&registry);
        metrics.observe_depths(&BTreeMap::from([("a".to_owned(), 3)]));

        assert_eq!(first.len(), MODELS + 1);
        assert!(first.contains(&"foreman_queue_depth{model=\"other\"} 2".to_owned()));
        assert_eq!(lines(&registry), ["foreman_queue_depth{model=\"a\"} 3"]);
    }

    #[test]
    fn what_was_counted_is_written() {
        let mut registry = Registry::default();
        let metrics = Metrics::registered(&mut registry);
        let waiting = metrics.waiting_caller();
        metrics.ended(Class::Live, Some(StatusCode::OK), Duration::from_millis(3));
        metrics.ended(Class::Queued, None, Duration::from_millis(3));

        let while_waiting = text(&registry).unwrap();
        drop(waiting);

        assert!(while_waiting.contains("foreman_http_waiting_callers 1\n"));
        assert!(
            while_waiting
                .contains("foreman_http_requests_total{route=\"live\",status=\"200\"} 1\n")
        );
        assert!(while_waiting.contains("{route=\"queued\",status=\"none\"} 1\n"));
        let later = text(&registry).unwrap();
        assert!(later.contains("foreman_http_waiting_callers 0\n"));
    }
}
