//! The best that can be done, by somebody who knows the whole trace: all orders are tried.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arrivals::{Arrival, Trace};

/// The least swaps, and the earliest end, of any order that never leaves the target idle while a
/// job waits; they need not come from the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Best {
    /// The least swaps.
    pub(crate) swaps: u64,
    /// The earliest end.
    pub(crate) makespan: Duration,
}

/// How far an order has come: jobs done of each model, and the model that is loaded.
type Progress = (Vec<usize>, Option<usize>);

/// Finds the best for a target with room for one model.
///
/// Jobs of one model go in their order: to exchange two of them never helps. Of the orders that come
/// equally far, only those count that no other beats in both time and swaps.
pub(crate) fn best(trace: &Trace) -> Best {
    let models = by_model(trace);
    let start: Progress = (vec![0; models.len()], None);
    let mut level = BTreeMap::from([(start, vec![(Duration::ZERO, 0)])]);
    for _ in 0..trace.jobs.len() {
        let mut next: BTreeMap<Progress, Vec<(Duration, u64)>> = BTreeMap::new();
        for (progress, ends) in &level {
            for end in ends {
                step(trace, &models, progress, *end, &mut next);
            }
        }
        level = next;
    }
    let ends = || level.values().flatten();
    Best {
        swaps: ends().map(|(_, swaps)| *swaps).min().unwrap_or(0),
        makespan: ends().map(|(time, _)| *time).min().unwrap_or_default(),
    }
}

fn by_model(trace: &Trace) -> Vec<Vec<&Arrival>> {
    let mut models: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
    for job in &trace.jobs {
        models.entry(&job.model).or_default().push(job);
    }
    models.into_values().collect()
}

/// Goes on with each job that may be next.
fn step(
    trace: &Trace,
    models: &[Vec<&Arrival>],
    (done, loaded): &Progress,
    (time, swaps): (Duration, u64),
    next: &mut BTreeMap<Progress, Vec<(Duration, u64)>>,
) {
    let heads = models
        .iter()
        .zip(done)
        .enumerate()
        .filter_map(|(model, (jobs, done))| Some((model, *jobs.get(*done)?)));
    let heads: Vec<(usize, &Arrival)> = heads.collect();
    let first = heads.iter().map(|(_, job)| job.at).min();
    let begin = time.max(first.unwrap_or_default());
    for (model, job) in heads.into_iter().filter(|(_, job)| job.at <= begin) {
        let is_loaded = *loaded == Some(model);
        let load = if is_loaded {
            Duration::ZERO
        } else {
            trace.load
        };
        let mut done = done.clone();
        if let Some(count) = done.get_mut(model) {
            *count += 1;
        }
        let end = (begin + load + job.run, swaps + u64::from(!is_loaded));
        keep(next.entry((done, Some(model))).or_default(), end);
    }
}

/// Keeps an end unless another is better, and drops those that it is better than.
fn keep(ends: &mut Vec<(Duration, u64)>, end: (Duration, u64)) {
    if ends.iter().any(|it| it.0 <= end.0 && it.1 <= end.1) {
        return;
    }
    ends.retain(|it| it.0 < end.0 || it.1 < end.1);
    ends.push(end);
}
