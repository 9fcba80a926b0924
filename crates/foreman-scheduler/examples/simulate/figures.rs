//! What an order comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arrivals::Trace;
use crate::target::Served;

/// What an order comes to.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// Loads of a model.
    pub(crate) swaps: u64,
    /// The end of the last job.
    pub(crate) makespan: Duration,
    /// The mean time from arrival to dispatch.
    pub(crate) mean: Duration,
    /// All but a hundredth of the jobs waited less.
    pub p99: Duration,
    /// The longest wait.
    pub(crate) worst: Duration,
    /// Jain's index over the callers: 1 is even, one n-th is all for one of n callers. What is
    /// compared is the share of the time with jobs there in which a caller was served.
    pub(crate) jain: f64,
}

/// Works them out.
pub(crate) fn figures(trace: &Trace, served: &[Served]) -> Figures {
    let mut waits: Vec<Duration> = served
        .iter()
        .filter_map(|it| Some(it.began.saturating_sub(trace.jobs.get(it.place)?.at)))
        .collect();
    waits.sort_unstable();
    let count = u32::try_from(waits.len()).unwrap_or(u32::MAX).max(1);
    let sum: Duration = waits.iter().sum();
    let last = waits.len().saturating_sub(1);
    Figures {
        swaps: served.iter().map(|it| u64::from(it.swapped)).sum(),
        makespan: served.iter().map(|it| it.ended).max().unwrap_or_default(),
        mean: sum / count,
        p99: waits.get(last * 99 / 100).copied().unwrap_or_default(),
        worst: waits.last().copied().unwrap_or_default(),
        jain: jain(&shares(trace, served)),
    }
}

/// Returns each caller's share: the time it was served by the time it had jobs there.
fn shares(trace: &Trace, served: &[Served]) -> Vec<f64> {
    let mut spans: BTreeMap<&str, Vec<(Duration, Duration)>> = BTreeMap::new();
    let mut had: BTreeMap<&str, Duration> = BTreeMap::new();
    for it in served {
        if let Some(job) = trace.jobs.get(it.place) {
            spans
                .entry(&job.caller)
                .or_default()
                .push((job.at, it.ended));
            *had.entry(&job.caller).or_default() += job.run;
        }
    }
    let share = |(caller, spans): (&str, Vec<(Duration, Duration)>)| {
        let there = covered(spans).as_secs_f64();
        had.get(caller).map_or(0.0, Duration::as_secs_f64) / there.max(1e-9)
    };
    spans.into_iter().map(share).collect()
}

/// Returns the time that spans cover together.
fn covered(mut spans: Vec<(Duration, Duration)>) -> Duration {
    spans.sort_unstable();
    let mut sum = Duration::ZERO;
    let mut until = Duration::ZERO;
    for (from, to) in spans {
        sum += to.saturating_sub(from.max(until));
        until = until.max(to);
    }
    sum
}

fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|it| it * it).sum();
    let count: f64 = shares.iter().map(|_| 1.0).sum();
    if squares > 0.0 {
        sum * sum / (count * squares)
    } else {
        1.0
    }
}
