//! What is ahead of a job, and how long that takes.

use std::sync::Arc;

use foreman_job::lifecycle::Progress;
use foreman_job::{Endpoint, HeadJob, JobId};
use foreman_store::Standing;

use super::*;
use crate::{Running, SeededRandom};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn runner(name: &str) -> RunnerKey {
    RunnerKey::new(name, "")
}

fn job(name: &str, priority: Priority, caller: Option<&str>) -> Job {
    Job {
        seq: 100,
        id: JobId::generate(Timestamp::from_millis(1), &SeededRandom::new(1)),
        endpoint: Endpoint::Chat,
        model: name.to_owned(),
        runner: runner(name),
        priority,
        caller: caller.map(str::to_owned),
        progress: Progress::accepted(),
        created_at: Timestamp::from_millis(1),
        claimed_at: None,
        started_at: None,
        finished_at: None,
        not_before: None,
        expires_at: None,
        failure: None,
        target_status: None,
        usage: None,
        retry_of: None,
        metadata: None,
    }
}

fn depth(name: &str, priority: Priority, jobs: u64) -> Depth {
    Depth {
        model: name.to_owned(),
        runner: runner(name),
        priority,
        caller: None,
        jobs,
    }
}

fn standing(runners: &[&str], older: &[(Option<&str>, u64)]) -> Standing {
    let head = |(seq, name): (i64, &&str)| HeadJob {
        seq,
        priority: Priority::Normal,
        runner: runner(name),
        caller: None,
        created_at: Timestamp::from_millis(1),
    };
    Standing {
        older: older
            .iter()
            .map(|(caller, jobs)| (caller.map(str::to_owned), *jobs))
            .collect(),
        runners: (1..).zip(runners).map(head).collect(),
    }
}

fn shape<'a>(line: &[Batch<'a>]) -> Vec<(&'a str, u64)> {
    line.iter()
        .map(|batch| (batch.runner.weights(), batch.jobs))
        .collect()
}

#[test]
fn ahead_are_the_better_classes_then_the_drain_that_goes_on_then_the_older_ones() {
    let depths = [
        depth("x", Priority::High, 2),
        depth("a", Priority::Normal, 3),
        depth("b", Priority::Normal, 4),
        depth("c", Priority::Normal, 5),
        depth("c", Priority::Low, 9),
    ];
    let standing = standing(&["a", "b", "c"], &[(None, 1)]);
    let job = job("b", Priority::Normal, None);

    let [b, c] = ["b", "c"].map(runner);
    let line = |depths: &[Depth], current| {
        let mut standings = Standings::default();
        for depth in depths {
            let of_class = standings.waiting.entry(depth.priority).or_default();
            of_class.push((depth.runner.clone(), depth.jobs));
        }
        let places = Arc::new(vec![0, 1, 2]);
        standings.places.insert(Priority::Normal, places);
        let before = before(Priority::Normal, &standings, Some(current));
        let line = line(&job, &standing.older, &before);
        shape(&line)
            .into_iter()
            .map(|(name, jobs)| (name.to_owned(), jobs))
            .collect::<Vec<_>>()
    };
    let named = |line: &[(&str, u64)]| -> Vec<_> {
        line.iter()
            .map(|(name, jobs)| ((*name).to_owned(), *jobs))
            .collect()
    };

    let calm = line(&depths[1..], &c);
    let own = line(&depths[1..], &b);
    let high = line(&depths, &c);

    assert_eq!(calm, named(&[("c", 5), ("a", 3), ("b", 1)]));
    assert_eq!(own, named(&[("b", 1)]));
    assert_eq!(high, named(&[("x", 2), ("a", 3), ("b", 1)]));
}

#[test]
fn a_caller_with_few_jobs_does_not_wait_for_all_of_another() {
    let job = job("a", Priority::Normal, Some("ann"));
    let standing = standing(&["a"], &[(Some("ann"), 2), (Some("bob"), 500), (None, 1)]);

    assert_eq!(turns(&job, &standing.older), 2 + 3 + 1);
}

#[test]
fn the_time_is_that_of_loads_and_runs_and_unknown_where_one_of_them_is() {
    let mut learned = Learned::default();
    for _ in 0..3 {
        learned.note(&runner("a"), seconds(2), Some(seconds(10)));
        learned.note(&runner("b"), seconds(5), Some(seconds(20)));
    }
    let [a, b, c] = ["a", "b", "c"].map(runner);
    let batch = |runner, jobs| Batch {
        class: Priority::Normal,
        runner,
        jobs,
    };
    let time = |line: &[Batch<'_>], current| time(line, Some(&runner(current)), &learned);

    assert_eq!(time(&[batch(&a, 3), batch(&b, 0)], "a"), Some(seconds(26)));
    assert_eq!(time(&[batch(&a, 3), batch(&b, 2)], "x"), Some(seconds(46)));
    assert_eq!(time(&[batch(&a, 3), batch(&c, 0)], "a"), None);
}

#[test]
fn of_the_running_job_the_rest_counts() {
    let mut learned = Learned::default();
    for _ in 0..3 {
        learned.note(&runner("a"), seconds(60), Some(seconds(10)));
    }
    let mut status = Status {
        runner: Some(runner("a")),
        running: Some(Running {
            id: JobId::generate(Timestamp::from_millis(1), &SeededRandom::new(1)),
            model: "a".to_owned(),
            state: JobState::Loading,
            since: Timestamp::from_millis(5_000),
        }),
        ..Status::default()
    };
    let at = Timestamp::from_millis(20_000);

    assert_eq!(rest(&status, at, &learned), Some(seconds(55)));
    status.running.as_mut().unwrap().state = JobState::Working;
    assert_eq!(rest(&status, at, &learned), Some(seconds(45)));
    status.runner = Some(runner("b"));
    assert_eq!(rest(&status, at, &learned), None);
    status.running = None;
    assert_eq!(rest(&status, at, &learned), Some(seconds(0)));
}

#[test]
fn the_mean_job_is_that_of_the_queue_and_a_second_while_nothing_is_known() {
    let mut learned = Learned::default();
    let depths = [
        depth("a", Priority::Normal, 3),
        depth("b", Priority::Low, 1),
    ];
    assert_eq!(mean(&depths, &learned), seconds(1));

    learned.note(&runner("a"), seconds(2), None);
    learned.note(&runner("b"), seconds(10), None);

    assert_eq!(mean(&depths, &learned), seconds(4));
    assert_eq!(mean(&[], &learned), seconds(6));
}
