//! The heads of the ready queue, read the plain way.

use std::collections::BTreeMap;

use foreman_job::{HeadJob, Job, Priority, QueueHeads, Timestamp};

use crate::ClaimRequest;

/// Finds the heads among the ready jobs, which are in the order of acceptance.
///
/// `queued` are those that rest, too.
pub(super) fn heads(queued: &[&Job], ready: &[&Job], wish: &ClaimRequest) -> Option<QueueHeads> {
    let open: Vec<HeadJob> = ready
        .iter()
        .filter(|job| !wish.is_paused(&job.runner))
        .map(|job| head(job, wish.now))
        .collect();
    let class = open.iter().map(|head| head.priority).min()?;
    let of_class: Vec<&HeadJob> = open.iter().filter(|it| it.priority == class).collect();
    let oldest = (*of_class.first()?).clone();
    let resident: Vec<HeadJob> = wish
        .resident
        .iter()
        .filter_map(|runner| of_class.iter().find(|it| it.runner == *runner))
        .map(|head| (*head).clone())
        .collect();
    let drain = resident.first().unwrap_or(&oldest).runner.clone();
    let is_aged = |head: &HeadJob| {
        wish.aged_before
            .is_some_and(|before| head.created_at <= before)
    };
    let mut aged = Vec::new();
    if is_aged(&oldest) {
        aged = of_each_caller(&of_class);
        aged.retain(is_aged);
        keep_least(&mut aged, wish);
    }
    let of_drain: Vec<&HeadJob> = of_class
        .iter()
        .copied()
        .filter(|it| it.runner == drain)
        .collect();
    let mut callers = of_each_caller(&of_drain);
    keep_least(&mut callers, wish);
    Some(QueueHeads {
        callers,
        aged,
        most_used: most_used(queued, class, wish),
        overtaken: overtaken(ready, wish, &oldest),
        oldest,
        resident,
    })
}

/// Returns the first of each caller, in the order of their names.
fn of_each_caller(heads: &[&HeadJob]) -> Vec<HeadJob> {
    let mut first = BTreeMap::new();
    for head in heads {
        first.entry(&head.caller).or_insert(*head);
    }
    first.into_values().cloned().collect()
}

/// Keeps the heads of the callers that have used least.
fn keep_least(heads: &mut Vec<HeadJob>, wish: &ClaimRequest) {
    let used = |head: &HeadJob| (wish.used)(head.caller.as_deref());
    let least = heads.iter().map(used).fold(f64::INFINITY, f64::min);
    heads.retain(|head| used(head) <= least);
}

fn most_used(queued: &[&Job], class: Priority, wish: &ClaimRequest) -> f64 {
    let of_class = queued.iter().filter(|job| job.priority == class);
    of_class
        .map(|job| (wish.used)(job.caller.as_deref()))
        .fold(0.0, f64::max)
}

/// Returns the first of each runner, the oldest first.
pub(super) fn of_each_runner(ready: &[&Job], now: Timestamp) -> Vec<HeadJob> {
    let mut heads: Vec<HeadJob> = Vec::new();
    for job in ready {
        if heads.iter().all(|head| head.runner != job.runner) {
            heads.push(head(job, now));
        }
    }
    heads
}

/// Finds the oldest of the heads of the lower classes, where those are not paused.
fn overtaken(ready: &[&Job], wish: &ClaimRequest, oldest: &HeadJob) -> Option<i64> {
    let mut first = BTreeMap::new();
    for job in ready.iter().filter(|job| job.priority > oldest.priority) {
        first.entry(job.priority).or_insert(job);
    }
    let open = first.values().filter(|job| !wish.is_paused(&job.runner));
    open.map(|job| job.seq).min()
}

fn head(job: &Job, now: Timestamp) -> HeadJob {
    HeadJob {
        seq: job.seq,
        priority: job.priority,
        runner: job.runner.clone(),
        caller: job.caller.clone(),
        created_at: HeadJob::accepted(job.created_at, now),
    }
}
