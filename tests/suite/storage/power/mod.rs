//! The power is cut at any moment: what callers had been told is true afterwards.
//!
//! The real program works on a disk that writes down each write and each flush. From that, disks
//! are made as a loss of power leaves them, and opened as the next start would. `kill -9` shows
//! nothing of this, since the system still writes what a dead process had written.
//!
//! `POWER_CUTS` says how many disks are made, `POWER_SEED` which.

mod image;
mod trace;
mod verdict;

use foreman_tests::{Builder, Disk, Foreman, Pair, chat, stub};
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{A, B, JOBS, foreman};
use image::{Dice, Flushes};
use trace::{Call, Told, Trace};
use verdict::Promises;

/// As many as fit into the usual run.
const CUTS: usize = 60;

/// Calls in whose middle the power is cut in any case.
const FIRST: usize = 60;

const SEED: u64 = 20_261_121;

/// Writes down what a caller has been told, after it was told.
fn told(disk: &Disk, told: Told) {
    disk.mark(&told.text());
}

/// Sends a job in one of three ways, and notes what is said of it.
async fn caller(foreman: &Foreman, disk: &Disk, number: usize) {
    let size = [300, 40_000, 120_000][number % 3];
    let prompt = format!("number {number} {}", "x".repeat(size));
    let request = chat([A, B][number % 2], &prompt);
    if number.is_multiple_of(4) {
        let reply = foreman.post("/api/chat", &request).await;
        assert_eq!(reply.status(), 200, "{}", reply.text());
        let id = reply.head.header("x-foreman-job-id").unwrap();
        return told(disk, Told::Done(id.parse().unwrap()));
    }
    let submission = json!({"endpoint": "/api/chat", "request": request});
    let job: Value = foreman.post(JOBS, &submission).await.json();
    let name = job["id"].as_str().unwrap();
    let id = name.parse().unwrap();
    told(disk, Told::Accepted(id));
    let end = if number % 4 == 3 {
        let path = format!("{JOBS}/{name}/cancel");
        foreman.post(&path, &json!({})).await.json()
    } else {
        foreman.get(&format!("{JOBS}/{name}?wait=1m")).await.json()
    };
    match end["state"].as_str().unwrap() {
        "done" => told(disk, Told::Done(id)),
        "cancelled" => told(disk, Told::Cancelled(id)),
        _ => {}
    }
}

async fn callers(foreman: &Foreman, disk: &Disk, numbers: std::ops::Range<usize>) {
    join_all(numbers.map(|number| caller(foreman, disk, number))).await;
}

/// Three lives on one disk: one ends as it should, one is killed, one forgets bodies.
async fn lived(disk: &Disk) -> Trace {
    let on = |builder: Builder| builder.on(disk);
    let Pair {
        stub,
        foreman: mut first,
    } = Pair::start(stub(), on(foreman())).await;
    for wave in 0..4 {
        callers(&first, disk, wave * 8..wave * 8 + 8).await;
    }
    first.signal(Signal::TERM);
    assert!(first.exit().await.success());

    let mut second = on(foreman().after(&first))
        .target(&stub.url())
        .start()
        .await;
    for wave in 4..7 {
        callers(&second, disk, wave * 8..wave * 8 + 8).await;
    }
    let submission = json!({"endpoint": "/api/chat", "request": chat(A, "left behind")});
    for _ in 0..6 {
        let job = second.post(JOBS, &submission).await.json();
        let id = job["id"].as_str().unwrap().parse().unwrap();
        told(disk, Told::Accepted(id));
    }
    second.kill().await;

    told(disk, Told::Purging);
    let forgetful = foreman().after(&second).set("RETAIN_BODIES", "0s");
    let mut third = on(forgetful).target(&stub.url()).start().await;
    for wave in 7..9 {
        callers(&third, disk, wave * 8..wave * 8 + 8).await;
    }
    third.kill().await;
    Trace::read(std::fs::read(disk.trace()).unwrap())
}

/// Cuts the power at random moments; returns what was not true afterwards.
async fn broken(trace: &Trace, flushes: Flushes, seed: u64, cuts: usize) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let random = (0..cuts).map(|_| dice.below(trace.calls.len()));
    // The database comes to be within the first calls: its schema is there whole, or not at all.
    let first = match flushes {
        Flushes::Obeyed => 0..FIRST,
        Flushes::Ignored => 0..0,
    };
    let mut moments: Vec<usize> = random.chain(first).collect();
    moments.sort_unstable();
    let mut disk = image::Disk::new(trace, flushes);
    let mut promises = Promises::default();
    let mut broken = Vec::new();
    let mut moments = moments.into_iter().peekable();
    for (at, call) in trace.calls.iter().enumerate() {
        while moments.next_if_eq(&at).is_some() {
            if let Err(found) = promises.hold(&disk.cut(&mut dice)).await {
                let jobs = promises.len();
                broken.push(format!("cut at {at}, {jobs} jobs told: {found}"));
            }
        }
        if let Call::Mark(told) = call {
            promises.add(*told);
        }
        disk.call(call);
    }
    broken
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn nothing_that_a_caller_was_told_is_lost_with_the_power() {
    let Some(disk) = Disk::new() else {
        println!("skipped: only Linux lets a library watch the disk");
        return;
    };
    let cuts = number("POWER_CUTS").unwrap_or(CUTS);
    let seed = number("POWER_SEED").unwrap_or(SEED);
    let trace = lived(&disk).await;
    println!("{cuts} cuts among {} calls, seed {seed}", trace.calls.len());

    let found = broken(&trace, Flushes::Obeyed, seed, cuts).await;
    assert!(found.is_empty(), "seed {seed}: {found:#?}");

    // The same on a disk that ignores flushes: whoever sees no difference sees nothing.
    let without = broken(&trace, Flushes::Ignored, seed, cuts / 3).await;
    println!("{} of {} broken without flushes", without.len(), cuts / 3);
    assert!(without.len() > cuts / 12, "seed {seed}: {without:#?}");
}
