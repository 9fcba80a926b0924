//! The best that anybody can promise who learns of a job when it arrives, not before.

use std::collections::HashMap;
use std::time::Duration;

use crate::arrivals::Trace;
use crate::best::best;

/// Tells whether an order can keep to a factor over the best makespan, if it does not know what
/// comes: the trace may go on as it does, or end at any time, or from any time on two of its models
/// may be exchanged.
///
/// All orders are tried, also those that let the target idle. As soon as one of the other futures
/// shows, the order is told all of it: who is told less can keep to no less.
pub(crate) fn can_keep_to(factor: f64, trace: &Trace) -> bool {
    let mut names: Vec<&str> = trace.jobs.iter().map(|job| job.model.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut game = Game {
        future: Future::new(trace, trace.jobs.len(), factor, &names),
        others: others(trace, factor, &names),
        known: HashMap::new(),
    };
    game.can(State::default())
}

/// A job: when it comes, its model, and how long it runs.
type Job = (Duration, usize, Duration);

/// One way in which a trace may go on.
struct Future {
    /// The jobs, their models by number.
    jobs: Vec<Job>,
    load: Duration,
    /// So many jobs are those of the trace.
    same: usize,
    /// When the last job is to have ended.
    latest: Duration,
    /// Whether that can be reached from a state.
    known: HashMap<State, bool>,
}

/// Makes the other futures of a trace.
fn others(trace: &Trace, factor: f64, names: &[&str]) -> Vec<Future> {
    let mut others = Vec::new();
    for same in 1..trace.jobs.len() {
        let mut end = trace.clone();
        end.jobs.truncate(same);
        others.push(Future::new(&end, same, factor, names));
        for (place, one) in names.iter().enumerate() {
            for two in names.iter().skip(place + 1) {
                let mut exchanged = trace.clone();
                for job in exchanged.jobs.iter_mut().skip(same) {
                    if job.model == *one {
                        (*two).clone_into(&mut job.model);
                    } else if job.model == *two {
                        (*one).clone_into(&mut job.model);
                    }
                }
                others.push(Future::new(&exchanged, same, factor, names));
            }
        }
    }
    others
}

impl Future {
    fn new(trace: &Trace, same: usize, factor: f64, names: &[&str]) -> Self {
        let number = |model: &str| names.iter().filter(|name| **name < model).count();
        let jobs = trace.jobs.iter();
        Self {
            jobs: jobs.map(|it| (it.at, number(&it.model), it.run)).collect(),
            load: trace.load,
            same,
            latest: best(trace).makespan.mul_f64(factor),
            known: HashMap::new(),
        }
    }

    /// Lists what can be done next: the first waiting job of each model, or to wait for another.
    fn moves(&self, state: State) -> Vec<State> {
        let mut models = Vec::new();
        let mut moves = Vec::new();
        for (place, job) in self.jobs.iter().enumerate() {
            if job.0 > state.time {
                let time = job.0;
                moves.push(State { time, ..state });
                break;
            }
            if state.done & (1 << place) == 0 && !models.contains(&job.1) {
                models.push(job.1);
                moves.push(state.run(place, *job, self.load));
            }
        }
        moves
    }

    /// Tells whether somebody who knows this future can end in time.
    fn can(&mut self, state: State) -> bool {
        if state.ended > self.latest {
            return false;
        }
        if let Some(can) = self.known.get(&state) {
            return *can;
        }
        let moves = self.moves(state);
        let can = moves.is_empty() || moves.into_iter().any(|next| self.can(next));
        self.known.insert(state, can);
        can
    }
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct State {
    /// A bit for each job.
    done: u32,
    loaded: Option<usize>,
    time: Duration,
    /// The end of the last job.
    ended: Duration,
}

impl State {
    fn run(self, place: usize, (_, model, run): Job, load: Duration) -> Self {
        let is_loaded = self.loaded == Some(model);
        let load = if is_loaded { Duration::ZERO } else { load };
        let ended = self.time + load + run;
        Self {
            done: self.done | 1 << place,
            loaded: Some(model),
            time: ended,
            ended,
        }
    }
}

/// All orders of a trace against all of its futures.
struct Game {
    future: Future,
    others: Vec<Future>,
    known: HashMap<State, bool>,
}

impl Game {
    /// Tells whether the factor can still be kept to.
    fn can(&mut self, state: State) -> bool {
        if state.ended > self.future.latest {
            return false;
        }
        if let Some(can) = self.known.get(&state) {
            return *can;
        }
        let moves = self.future.moves(state);
        let mut can = moves.is_empty();
        for next in moves {
            can = can || (self.bears(state.time, next) && self.can(next));
        }
        self.known.insert(state, can);
        can
    }

    /// Tells whether the factor can be kept to if another future shows in what began at a time.
    fn bears(&mut self, began: Duration, next: State) -> bool {
        let jobs = &self.future.jobs;
        let come = |at: Duration| jobs.iter().filter(|job| job.0 <= at).count();
        let shown = come(began)..come(next.time);
        let mut others = self.others.iter_mut();
        others.all(|other| !shown.contains(&other.same) || other.can(next))
    }
}
