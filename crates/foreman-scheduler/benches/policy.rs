//! What a decision costs, once the heads of the queue are known.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use foreman_job::{HeadJob, Priority, QueueHeads, RunnerKey, Timestamp};
use foreman_scheduler::policy::{Bounds, Moment, OldestTurns, RecentUse, choose};

const CALLERS: [&str; 20] = [
    "ann", "bea", "cal", "dan", "eve", "fay", "gil", "hal", "ida", "jim", "kay", "leo", "mia",
    "ned", "oda", "pam", "quo", "rex", "sue", "tom",
];

fn head(seq: i64, caller: &str) -> HeadJob {
    HeadJob {
        seq,
        priority: Priority::Normal,
        runner: RunnerKey::new(&format!("sha256:{:064}", seq % 5), "num_ctx=8192"),
        caller: Some(caller.to_owned()),
        created_at: Timestamp::from_millis(seq),
    }
}

fn heads() -> QueueHeads {
    let all: Vec<HeadJob> = (1..)
        .zip(CALLERS)
        .map(|(seq, name)| head(seq, name))
        .collect();
    QueueHeads {
        oldest: head(1, "ann"),
        resident: vec![head(9, "ida"), head(3, "cal")],
        callers: all.clone(),
        aged: all,
        most_used: 1.0,
        overtaken: Some(40),
    }
}

fn policy(criterion: &mut Criterion) {
    let heads = heads();
    let bounds = Bounds::new(Duration::from_mins(5));
    let mut recent_use = RecentUse::default();
    for (ran, name) in (1..).zip(CALLERS) {
        recent_use.charge(Some(name), Duration::from_secs(ran), Duration::ZERO);
    }
    let turns = OldestTurns::default();
    for (name, now) in [
        ("young jobs", 1_000),
        ("jobs past the age bound", 1_000_000),
    ] {
        let moment = Moment {
            now: Timestamp::from_millis(now),
            elapsed: Duration::from_mins(1),
            drained_for: Duration::from_secs(100),
            recent_use: &recent_use,
            turns: &turns,
        };
        criterion.bench_function(&format!("choose among 20 callers, {name}"), |bencher| {
            bencher.iter(|| choose(black_box(&heads), &bounds, &moment));
        });
    }
}

criterion_group!(benches, policy);
criterion_main!(benches);
