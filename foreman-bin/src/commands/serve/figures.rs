//! The figures of the store, read when somebody looks at the metrics.

use std::fmt;
use std::iter::once;
use std::sync::Arc;

use foreman_store::{SqliteStore, StoreStats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// Gives the figures of the store to the registry.
#[derive(Debug)]
pub(super) struct StoreFigures(pub(super) Arc<SqliteStore>);

impl Collector for StoreFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.0.stats();
        let bounds = StoreStats::COMMIT_BOUNDS.map(|bound| bound.as_secs_f64());
        let times = Histogram {
            sum: stats.commit_time.as_secs_f64(),
            count: stats.commits,
            buckets: buckets(&bounds, &stats.commit_times),
        };
        times.encode(
            &mut encoder,
            "foreman_store_commit_seconds",
            "Time from the first statement of a transaction to the end of its commit",
        )?;
        let sizes = Histogram {
            sum: float(stats.commands),
            count: stats.commits,
            buckets: buckets(&StoreStats::GROUP_BOUNDS.map(float), &stats.groups),
        };
        sizes.encode(
            &mut encoder,
            "foreman_store_commit_commands",
            "Changes that were committed together",
        )?;
        let wal = i64::try_from(stats.wal_bytes).unwrap_or(i64::MAX);
        let wal_encoder = encoder.encode_descriptor(
            "foreman_store_wal_bytes",
            "Size of the file of the write-ahead log, with the room that it has",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(wal).encode(wal_encoder)
    }
}

/// What a histogram consists of.
struct Histogram {
    sum: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

impl Histogram {
    fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
    ) -> Result<(), fmt::Error> {
        encoder
            .encode_descriptor(name, help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(self.sum, self.count, &self.buckets, None)
    }
}

/// Puts counts to the bounds of their buckets; the last one has none.
fn buckets(bounds: &[f64], counts: &[u64]) -> Vec<(f64, u64)> {
    let bounds = bounds.iter().copied().chain(once(f64::INFINITY));
    bounds.zip(counts.iter().copied()).collect()
}

/// A count that is too large for exactness is large enough as it is.
fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use foreman_store::SqliteConfig;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn the_figures_of_the_store_are_in_the_text() {
        let directory = tempfile::tempdir().unwrap();
        let config = SqliteConfig::new(directory.path().join("a.db"));
        let store = Arc::new(SqliteStore::open(&config).unwrap());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(StoreFigures(store)));
        let mut text = String::new();

        encode(&mut text, &registry).unwrap();

        for line in [
            "# TYPE foreman_store_commit_seconds histogram",
            "foreman_store_commit_seconds_bucket{le=\"+Inf\"} 0",
            "foreman_store_commit_commands_count 0",
            "# TYPE foreman_store_wal_bytes gauge",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
