//! The order that foreman gives to whole traces: fewest swaps, bounded waits, even turns.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../examples/simulate/arrivals.rs"]
mod arrivals;
#[path = "../examples/simulate/best.rs"]
mod best;
#[path = "../examples/simulate/figures.rs"]
mod figures;
#[path = "../examples/simulate/online.rs"]
mod online;
#[path = "../examples/simulate/target.rs"]
mod target;

use std::collections::BTreeMap;
use std::time::Duration;

use foreman_job::Priority;
use foreman_scheduler::policy::Bounds;
use proptest::prelude::*;

use arrivals::{Arrival, Trace, small, traces};
use best::best;
use figures::{Figures, figures};
use online::can_keep_to;
use target::{Rule, Served, run};

const DEFAULT: Duration = Duration::from_mins(5);
const MILLISECOND: Duration = Duration::from_millis(1);

fn of(trace: &Trace, rule: Rule) -> Figures {
    figures(trace, &run(trace, 1, rule))
}

fn policy(max_wait: Duration) -> Rule {
    Rule::Policy(Bounds::new(max_wait))
}

#[test]
fn the_policy_swaps_less_than_first_in_first_out_and_lets_nobody_wait_longer() {
    for trace in traces() {
        let fifo = of(&trace, Rule::Fifo);
        for max_wait in [Duration::ZERO, DEFAULT] {
            let ours = of(&trace, policy(max_wait));
            let name = &trace.name;
            assert!(ours.swaps < fifo.swaps, "{name}: {ours:?} {fifo:?}");
            assert!(ours.makespan <= fifo.makespan, "{name}: {ours:?} {fifo:?}");
            assert!(ours.mean <= fifo.mean, "{name}: {ours:?} {fifo:?}");
            assert!(ours.p99 <= fifo.p99, "{name}: {ours:?} {fifo:?}");
            assert!(ours.worst <= fifo.worst, "{name}: {ours:?} {fifo:?}");
            assert!(ours.jain >= fifo.jain - 0.01, "{name}: {ours:?} {fifo:?}");
        }
    }
}

/// The best order knows what will arrive; the policy does not. Where all is there at once it needs
/// not. On each trace it is within a tenth of the best, or within a hundredth of what anybody can
/// promise who does not know the future.
#[test]
fn without_an_age_bound_the_policy_is_close_to_the_best_order() {
    let (mut ours, mut least, mut beyond, mut times) = (0, 0, 0, Vec::new());
    for trace in small() {
        let figures = of(&trace, policy(Duration::ZERO));
        let best = best(&trace);
        ours += figures.swaps;
        least += best.swaps;
        let at_once = trace.jobs.iter().all(|job| job.at < MILLISECOND);
        if at_once {
            assert_eq!(figures.makespan, best.makespan, "{}", trace.name);
            assert_eq!(figures.swaps, best.swaps, "{}", trace.name);
        }
        let factor = figures.makespan.as_secs_f64() / best.makespan.as_secs_f64();
        if factor > 1.1 {
            let name = &trace.name;
            assert!(!can_keep_to(factor * 0.99, &trace), "{name}: {factor}");
            beyond += 1;
        }
        times.push(factor);
    }
    let mean = times.iter().sum::<f64>() / 24.0;
    assert!(times.len() == 24 && mean <= 1.02, "{times:?}");
    assert!(beyond <= 2, "{times:?}");
    assert!(ours * 10 <= least * 11, "{ours} {least}");
}

#[test]
fn every_job_is_served_once() {
    for trace in traces() {
        let mut places: Vec<usize> = run(&trace, 1, policy(DEFAULT))
            .iter()
            .map(|it| it.place)
            .collect();
        places.sort_unstable();
        assert_eq!(places, (0..trace.jobs.len()).collect::<Vec<_>>());
    }
}

/// Any arrivals of one class: bursts and lulls, short and long jobs, a load of some seconds.
fn arrivals(callers: u64) -> impl Strategy<Value = Trace> {
    arrivals_of(callers, Just(Priority::Normal))
}

/// Any arrivals of all classes.
fn classes(callers: u64) -> impl Strategy<Value = Trace> {
    arrivals_of(callers, prop::sample::select(&Priority::ALL[..]))
}

fn arrivals_of(
    callers: u64,
    class: impl Strategy<Value = Priority>,
) -> impl Strategy<Value = Trace> {
    let job = (0..40_u64, 0..4_u64, 0..callers, 1..20_u64, class);
    (prop::collection::vec(job, 1..120), 0..40_u64).prop_map(|(jobs, load)| {
        let mut at = 0;
        let jobs = jobs.into_iter().map(|(gap, model, caller, run, class)| {
            // Half of the gaps are none: jobs come in bursts.
            at += gap.saturating_sub(20);
            Arrival {
                at: Duration::from_secs(at),
                model: format!("m{model}"),
                caller: format!("c{caller}"),
                class,
                run: Duration::from_secs(run),
            }
        });
        Trace {
            name: String::new(),
            jobs: jobs.collect(),
            load: Duration::from_secs(load),
        }
    })
}

/// The longest that one job keeps the target busy.
fn longest(trace: &Trace) -> Duration {
    let run = trace.jobs.iter().map(|job| job.run).max();
    trace.load + run.unwrap_or_default()
}

/// Counts the jobs of its class that are older than one and have not begun at a time.
fn older(trace: &Trace, served: &[Served], place: usize, at: Duration) -> u32 {
    let class = trace.jobs[place].class;
    let is_before =
        |it: &&Served| it.place < place && it.began > at && trace.jobs[it.place].class == class;
    u32::try_from(served.iter().filter(is_before).count()).unwrap()
}

/// Sums up what jobs of higher classes took between two times.
fn higher(
    trace: &Trace,
    served: &[Served],
    class: Priority,
    span: (Duration, Duration),
) -> Duration {
    let took = |it: &Served| it.ended.min(span.1).saturating_sub(it.began.max(span.0));
    let of_higher = served
        .iter()
        .filter(|it| trace.jobs[it.place].class < class);
    of_higher.map(took).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Each drain begins with the oldest waiting job and leaves none of its runner, so between the
    /// first jobs of two drains the arrivals change their model at least once.
    #[test]
    fn without_an_age_bound_there_are_never_more_swaps_than_first_in_first_out_makes(
        trace in arrivals(3),
    ) {
        let fifo = of(&trace, Rule::Fifo);
        let ours = of(&trace, policy(Duration::ZERO));
        prop_assert!(ours.swaps <= fifo.swaps);
        prop_assert!(ours.makespan <= fifo.makespan);
    }

    /// Past the bound a job waits for the running one, and then, for each older job that waits and
    /// for its own start, at most for the share of a drain and the job that runs at its end.
    #[test]
    fn no_job_waits_beyond_the_bound(trace in arrivals(1), max_wait in 1..400_u64) {
        let bounds = Bounds::new(Duration::from_secs(max_wait));
        let served = run(&trace, 1, Rule::Policy(bounds));
        let longest = longest(&trace);
        for it in &served {
            let due = trace.jobs[it.place].at + Duration::from_secs(max_wait);
            let turns = older(&trace, &served, it.place, due) + 1;
            let latest = due + longest + (bounds.share + longest) * turns;
            prop_assert!(it.began <= latest, "{} began {:?}, due {due:?}", it.place, it.began);
        }
    }

    /// The bound for all: past it a job of whatever class and caller waits for no job that comes
    /// after it, but for half the bound and a job, once for itself and once for each that was
    /// accepted before it in its class; and for those of higher classes.
    #[test]
    fn no_job_waits_for_those_that_come_after_it(
        trace in classes(12),
        max_wait in 1..400_u64,
        slots in 1..3_usize,
    ) {
        let bounds = Bounds::new(Duration::from_secs(max_wait));
        let served = run(&trace, slots, Rule::Policy(bounds));
        let longest = longest(&trace);
        for it in &served {
            let job = &trace.jobs[it.place];
            let due = job.at + Duration::from_secs(max_wait);
            let turns = older(&trace, &served, it.place, due) + 1;
            let above = higher(&trace, &served, job.class, (due, it.began));
            let latest = due + (bounds.patience + longest) * turns + above;
            prop_assert!(it.began <= latest, "{} began {:?}, due {due:?}", it.place, it.began);
        }
    }

    /// A job that is the oldest when it passes the bound is next, if no other was past the bound
    /// shortly before, whatever else arrives, for whatever model, from whichever caller.
    #[test]
    fn a_job_alone_past_the_bound_waits_for_the_running_one_only(
        trace in classes(12),
        max_wait in 1..400_u64,
        slots in 1..3_usize,
    ) {
        let max_wait = Duration::from_secs(max_wait);
        let bounds = Bounds::new(max_wait);
        let served = run(&trace, slots, Rule::Policy(bounds));
        let longest = longest(&trace);
        for it in &served {
            let job = &trace.jobs[it.place];
            let due = job.at + max_wait;
            let is_past = |other: &&Served| {
                let of = &trace.jobs[other.place];
                of.class == job.class
                    && other.began >= of.at + max_wait
                    && other.began + bounds.patience > due
                    && other.began < it.began
            };
            if older(&trace, &served, it.place, due) == 0 && served.iter().all(|it| !is_past(&it)) {
                let above = higher(&trace, &served, job.class, (due, it.began));
                let latest = due + longest + above;
                prop_assert!(it.began <= latest, "{} began {:?}, due {due:?}", it.place, it.began);
            }
        }
    }

    /// While the jobs for the resident model are younger than the bound, a job past it is next,
    /// whoever they are of, and whatever its own caller has had.
    #[test]
    fn a_stream_for_the_resident_model_delays_another_job_by_the_bound_and_one_job(
        gaps in prop::collection::vec((1..4_u64, 0..50_u64), 60..200),
        at in 0..60_u64,
        max_wait in 5..60_u64,
        asks in 0..50_u64,
    ) {
        // A job each few seconds, each done before the next but one comes: the stream never ages.
        let job = |at: u64, model: &str, caller: u64| Arrival {
            at: Duration::from_secs(at),
            model: model.to_owned(),
            caller: caller.to_string(),
            class: Priority::Normal,
            run: Duration::from_secs(1),
        };
        let mut time = 0;
        let mut jobs: Vec<Arrival> = gaps
            .into_iter()
            .map(|(gap, caller)| {
                time += gap;
                job(time, "a", caller)
            })
            .collect();
        jobs.push(job(at, "b", asks));
        jobs.sort_by_key(|job| job.at);
        let trace = Trace { name: String::new(), jobs, load: Duration::from_secs(2) };
        let bounds = Bounds::new(Duration::from_secs(max_wait));
        let served = run(&trace, 1, Rule::Policy(bounds));
        let other = served.iter().find(|it| trace.jobs[it.place].model == "b").unwrap();
        let waited = other.began.saturating_sub(Duration::from_secs(at));
        prop_assert!(waited <= Duration::from_secs(max_wait) + longest(&trace), "{waited:?}");
    }

    /// Callers that all have work are served the same amounts, whatever their numbers of jobs.
    #[test]
    fn callers_take_turns(runs in prop::collection::vec((0..3_u64, 1..20_u64), 3..100)) {
        let job = |(caller, run): (u64, u64)| Arrival {
            at: Duration::ZERO,
            model: "a".to_owned(),
            caller: caller.to_string(),
            class: Priority::Normal,
            run: Duration::from_secs(run),
        };
        let jobs: Vec<Arrival> = runs.into_iter().map(job).collect();
        let trace = Trace { name: String::new(), jobs, load: Duration::ZERO };
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        for job in &trace.jobs {
            *left.entry(&job.caller).or_default() += 1;
        }
        let mut had: BTreeMap<&str, Duration> = left.keys().map(|it| (*it, Duration::ZERO)).collect();
        for it in run(&trace, 1, policy(DEFAULT)) {
            let job = &trace.jobs[it.place];
            *had.get_mut(job.caller.as_str()).unwrap() += job.run;
            *left.get_mut(job.caller.as_str()).unwrap() -= 1;
            if left.values().any(|jobs| *jobs == 0) {
                break;
            }
            let most = had.values().max().unwrap();
            let least = had.values().min().unwrap();
            prop_assert!(most.saturating_sub(*least) <= longest(&trace) * 2, "{had:?}");
        }
    }
}
