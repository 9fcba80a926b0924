//! What a pick, a claim, an acceptance and a settlement cost with a million jobs in the queue.

#![expect(clippy::expect_used, reason = "a benchmark ends by a panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use foreman_job::{
    Choice, Endpoint, Job, JobId, PickReason, Priority, QueueHeads, Random, RunnerKey, Timestamp,
};
use foreman_store::{
    AnswerHead, Answered, Choose, ClaimRequest, LogEvent, NewJob, Outcome, QueueStore, RunLog,
    Settlement, SqliteConfig, SqliteStore, StoredRequest,
};
use tokio::runtime::Runtime;

const QUEUED: u64 = 1_000_000;

/// Jobs that are accepted together.
const TOGETHER: u64 = 1000;
const RUNNERS: u64 = 50;
const CALLERS: u64 = 20;
const NOW: Timestamp = Timestamp::from_millis(1);

/// Numbers that never come twice.
struct Counter;

impl Random for Counter {
    fn next_u64(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

fn runner(number: u64) -> RunnerKey {
    RunnerKey::new(&format!("sha256:{number:064}"), "num_ctx=8192")
}

fn job(number: u64) -> NewJob {
    NewJob {
        id: JobId::generate(NOW, &Counter),
        endpoint: Endpoint::Chat,
        model: format!("model-{}", number % RUNNERS),
        runner: runner(number % RUNNERS),
        priority: Priority::Normal,
        caller: Some(format!("caller-{}", number / RUNNERS % CALLERS)),
        created_at: NOW,
        not_before: None,
        expires_at: None,
        request: StoredRequest {
            headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
            body: vec![b'x'; 1024].into(),
        },
        idempotency: None,
        max_queue: None,
        retry_of: None,
        metadata: None,
    }
}

/// What a caller has used: each something else.
fn used(caller: Option<&str>) -> f64 {
    let number = caller.and_then(|name| name.rsplit('-').next()?.parse().ok());
    number.unwrap_or_default()
}

fn wish(choose: Choose) -> ClaimRequest {
    ClaimRequest {
        foreseen: None,
        is_begun: false,
        slot: 0,
        resident: vec![runner(RUNNERS - 1), runner(7)],
        paused: Vec::new(),
        aged_before: None,
        used: Arc::new(used),
        now: NOW,
        choose,
    }
}

fn drain() -> Choose {
    Arc::new(|heads: &QueueHeads| {
        let head = heads.resident.first().unwrap_or(&heads.oldest);
        Some(Choice {
            seq: head.seq,
            reason: PickReason::Resident,
        })
    })
}

fn settlement(job: &Job, epoch: foreman_job::lifecycle::Epoch, outcome: Outcome) -> Settlement {
    Settlement {
        id: job.id,
        seq: Some(job.seq),
        epoch,
        now: NOW,
        log: Some(RunLog {
            first: 2,
            events: vec![LogEvent::Chunk(vec![b'y'; 120].into()); 50],
        }),
        outcome,
    }
}

fn done() -> Outcome {
    Outcome::Done {
        answer: Answered {
            head: AnswerHead {
                status: 200,
                headers: [].into(),
            },
            usage: None,
        },
    }
}

/// A store that is empty, in a directory of its own.
fn empty() -> (tempfile::TempDir, SqliteStore) {
    let dir = tempfile::tempdir().expect("directory");
    let config = SqliteConfig {
        reserve: 0,
        ballast: 0,
        ..SqliteConfig::new(dir.path().join("queue.db"))
    };
    let store = SqliteStore::open(&config).expect("store opens");
    (dir, store)
}

/// A store with a long queue.
fn filled(runtime: &Runtime) -> (tempfile::TempDir, SqliteStore) {
    let (dir, store) = empty();
    runtime.block_on(async {
        for first in (0..QUEUED).step_by(1000) {
            let jobs = (first..first + TOGETHER).map(job).collect();
            for accepted in store.accept_all(jobs).await {
                accepted.expect("accepts");
            }
        }
    });
    (dir, store)
}

/// Measures the transactions of something without the way to the writer and back, and without the
/// disk.
fn transactions(
    bencher: &mut Bencher<'_>,
    runtime: &Runtime,
    store: &SqliteStore,
    act: impl AsyncFn(),
) {
    bencher.iter_custom(|times| {
        let before = store.stats().commit_time;
        runtime.block_on(async {
            for _ in 0..times {
                act().await;
            }
        });
        store.stats().commit_time.saturating_sub(before)
    });
}

/// A claim that takes nothing.
async fn look(store: &SqliteStore, wish: ClaimRequest) {
    let declined = ClaimRequest {
        choose: Arc::new(|heads: &QueueHeads| {
            black_box(heads);
            None
        }),
        ..wish
    };
    store.claim(declined).await.expect("claims");
}

/// The looks at the queue that differ in what they cost.
fn looks() -> [(&'static str, ClaimRequest); 3] {
    let usual = wish(drain());
    let aged = ClaimRequest {
        aged_before: Some(NOW),
        ..usual.clone()
    };
    let paused = ClaimRequest {
        paused: (0..5)
            .map(|number| runner(number).weights().to_owned())
            .collect(),
        ..usual.clone()
    };
    [
        ("pick", usual),
        ("pick past the age bound", aged),
        ("pick beside five paused models", paused),
    ]
}

/// The job at the end of the queue.
async fn last(store: &SqliteStore) -> Job {
    let new = job(7);
    let id = new.id;
    store.accept(new).await.expect("accepts");
    store.job(id).await.expect("reads").expect("is there")
}

/// Jobs that are submitted together.
async fn submit(store: &SqliteStore) {
    let jobs = (0..TOGETHER).map(|_| job(7)).collect();
    for accepted in store.accept_all(jobs).await {
        accepted.expect("accepts");
    }
}

/// Claims a job and ends its run.
async fn round(store: &SqliteStore, outcome: Outcome) {
    let claimed = store.claim(wish(drain())).await.expect("claims");
    let job = claimed.expect("is ready").job;
    let end = settlement(&job, job.progress.epoch, outcome);
    store.settle(end).await.expect("settles");
}

fn picks(criterion: &mut Criterion, runtime: &Runtime, store: &SqliteStore) {
    let mut group = criterion.benchmark_group("1000000 queued, 50 runners, 20 callers");
    for (name, wish) in looks() {
        group.bench_function(name, |bencher| {
            transactions(bencher, runtime, store, async || {
                look(store, wish.clone()).await;
            });
        });
    }
    group.bench_function("pick, with the way to the writer and back", |bencher| {
        bencher.iter(|| runtime.block_on(look(store, wish(drain()))));
    });
    group.bench_function("where a new job stands", |bencher| {
        let last = runtime.block_on(last(store));
        bencher.iter(|| runtime.block_on(store.standing(&last, NOW)).expect("reads"));
    });
    group.bench_function("claim and release", |bencher| {
        bencher.iter(|| runtime.block_on(round(store, Outcome::Released)));
    });
    group.bench_function("accept, claim and settle", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                store.accept(job(7)).await.expect("accepts");
                round(store, done()).await;
            });
        });
    });
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime starts");
    let (_other, short) = empty();
    // What a transaction costs that finds nothing.
    criterion.bench_function("pick from an empty queue", |bencher| {
        transactions(bencher, &runtime, &short, async || {
            look(&short, wish(drain())).await;
        });
    });
    let (_dir, store) = filled(&runtime);
    picks(criterion, &runtime, &store);

    let mut group = criterion.benchmark_group("accept 1000 together");
    group
        .throughput(Throughput::Elements(TOGETHER))
        .sample_size(20);
    for (name, store) in [("to a short queue", &short), ("to a long queue", &store)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(submit(store)));
        });
    }
    group.finish();
}

criterion_group!(pick, benches);
criterion_main!(pick);
