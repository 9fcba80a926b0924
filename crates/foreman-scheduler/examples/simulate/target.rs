//! A target that runs one job at a time, and the orders in which it may get them.

use std::collections::VecDeque;
use std::time::Duration;

use foreman_job::{HeadJob, QueueHeads, RunnerKey, Timestamp};
use foreman_scheduler::policy::{Bounds, Moment, OldestTurns, RecentUse, choose, chosen};

use crate::arrivals::{Arrival, Trace};

/// An order of jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
    /// As they come: what Ollama does by itself.
    Fifo,
    /// Foreman's policy with this age bound.
    Policy(Bounds),
}

/// When a job began and ended.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// Its place in the trace.
    pub(crate) place: usize,
    /// When the target got it, before its model was loaded.
    pub(crate) began: Duration,
    /// When it was answered.
    pub(crate) ended: Duration,
    /// Whether its model was to be loaded.
    pub(crate) swapped: bool,
}

/// Runs a trace on a target with room for so many models.
pub(crate) fn run(trace: &Trace, slots: usize, rule: Rule) -> Vec<Served> {
    let mut target = Target {
        trace,
        slots,
        now: Duration::ZERO,
        loaded: VecDeque::new(),
        drain: None,
        recent_use: RecentUse::default(),
        turns: OldestTurns::default(),
    };
    let mut served = Vec::with_capacity(trace.jobs.len());
    let mut waiting: Vec<usize> = Vec::new();
    let mut arriving = trace.jobs.iter().enumerate().peekable();
    loop {
        while let Some((place, _)) = arriving.next_if(|(_, job)| job.at <= target.now) {
            waiting.push(place);
        }
        let next = match rule {
            Rule::Fifo => waiting.first().copied(),
            Rule::Policy(bounds) => target.policy(&waiting, &bounds),
        };
        match (next, arriving.peek()) {
            (Some(place), _) => {
                waiting.retain(|it| *it != place);
                served.extend(target.serve(place));
            }
            (None, Some((_, job))) => target.now = job.at,
            (None, None) => return served,
        }
    }
}

/// The target in the middle of a trace.
struct Target<'a> {
    trace: &'a Trace,
    slots: usize,
    now: Duration,
    /// The loaded models, the last used first.
    loaded: VecDeque<RunnerKey>,
    /// What is drained, and since when.
    drain: Option<(RunnerKey, Duration)>,
    recent_use: RecentUse,
    turns: OldestTurns,
}

impl Target<'_> {
    fn serve(&mut self, place: usize) -> Option<Served> {
        let job = self.trace.jobs.get(place)?;
        let runner = runner(job);
        let began = self.now;
        if self
            .drain
            .as_ref()
            .is_none_or(|(drained, _)| *drained != runner)
        {
            self.drain = Some((runner.clone(), began));
        }
        let swapped = !self.loaded.contains(&runner);
        self.loaded.retain(|it| *it != runner);
        self.loaded.push_front(runner);
        self.loaded.truncate(self.slots);
        if swapped {
            self.now += self.trace.load;
        }
        self.now += job.run;
        self.recent_use.charge(Some(&job.caller), job.run, self.now);
        Some(Served {
            place,
            began,
            ended: self.now,
            swapped,
        })
    }

    /// Asks foreman's policy.
    fn policy(&mut self, waiting: &[usize], bounds: &Bounds) -> Option<usize> {
        let now = timestamp(self.now);
        let heads = self.heads(waiting, bounds.aged_before(now))?;
        let since = self.drain.as_ref().map_or(self.now, |(_, since)| *since);
        let moment = Moment {
            now,
            elapsed: self.now,
            drained_for: self.now.saturating_sub(since),
            recent_use: &self.recent_use,
            turns: &self.turns,
        };
        let choice = choose(&heads, bounds, &moment);
        let is_aged = bounds.is_aged(&heads.oldest, now);
        self.turns.note(&heads, &choice, is_aged, self.now);
        let head = chosen(&heads, &choice)?;
        let caller = head.caller.as_deref();
        self.recent_use.picked(caller, heads.most_used, self.now);
        usize::try_from(choice.seq).ok()
    }

    /// Reads the heads as the store does.
    fn heads(&self, waiting: &[usize], aged_before: Option<Timestamp>) -> Option<QueueHeads> {
        let all: Vec<HeadJob> = waiting.iter().filter_map(|it| self.head(*it)).collect();
        let class = all.iter().map(|head| head.priority).min()?;
        let of_class: Vec<&HeadJob> = all.iter().filter(|it| it.priority == class).collect();
        let oldest = (*of_class.first()?).clone();
        let resident: Vec<HeadJob> = self
            .loaded
            .iter()
            .filter_map(|runner| of_class.iter().find(|it| it.runner == *runner))
            .map(|head| (*head).clone())
            .collect();
        let drain = resident.first().unwrap_or(&oldest).runner.clone();
        let is_aged = |head: &HeadJob| aged_before.is_some_and(|at| head.created_at <= at);
        let mut aged = Vec::new();
        if is_aged(&oldest) {
            aged = first_of_callers(&of_class);
            aged.retain(is_aged);
        }
        let mut of_drain = of_class.clone();
        of_drain.retain(|it| it.runner == drain);
        let used = of_class.iter().map(|it| self.used(it));
        let lower = all.iter().filter(|head| head.priority > class);
        Some(QueueHeads {
            callers: first_of_callers(&of_drain),
            aged,
            most_used: used.fold(0.0, f64::max),
            overtaken: lower.map(|head| head.seq).min(),
            oldest,
            resident,
        })
    }

    fn used(&self, head: &HeadJob) -> f64 {
        self.recent_use.of(head.caller.as_deref(), self.now)
    }

    fn head(&self, place: usize) -> Option<HeadJob> {
        let job = self.trace.jobs.get(place)?;
        Some(HeadJob {
            seq: i64::try_from(place).ok()?,
            priority: job.class,
            runner: runner(job),
            caller: Some(job.caller.clone()),
            created_at: timestamp(job.at),
        })
    }
}

fn first_of_callers(heads: &[&HeadJob]) -> Vec<HeadJob> {
    let mut first: Vec<HeadJob> = Vec::new();
    for head in heads {
        if first.iter().all(|it| it.caller != head.caller) {
            first.push((*head).clone());
        }
    }
    first
}

/// Names the runner of a job.
pub(crate) fn runner(job: &Arrival) -> RunnerKey {
    RunnerKey::new(&job.model, "")
}

fn timestamp(at: Duration) -> Timestamp {
    Timestamp::from_millis(0).saturating_add(at)
}
