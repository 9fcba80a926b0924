//! What a pick, an acceptance and a settlement cost with a long queue.

#![expect(clippy::expect_used, reason = "a benchmark ends by a panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use foreman_job::{
    Choice, Endpoint, Job, JobId, PickReason, Priority, QueueHeads, Random, RunnerKey, Timestamp,
};
use foreman_store::{
    AnswerHead, Answered, Choose, ClaimRequest, LogEvent, NewJob, Outcome, QueueStore, RunLog,
    Settlement, SqliteConfig, SqliteStore, StoredRequest,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const QUEUED: u64 = 100_000;
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
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
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

fn settlement(seq: i64, epoch: foreman_job::lifecycle::Epoch, outcome: Outcome) -> Settlement {
    Settlement {
        seq,
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
                headers: Vec::new(),
            },
            usage: None,
        },
    }
}

/// A store with a long queue.
fn filled(runtime: &Runtime, dir: &tempfile::TempDir) -> Arc<SqliteStore> {
    let config = SqliteConfig {
        reserve: 0,
        ballast: 0,
        ..SqliteConfig::new(dir.path().join("queue.db"))
    };
    let store = Arc::new(SqliteStore::open(&config).expect("store opens"));
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..QUEUED {
            let store = Arc::clone(&store);
            tasks.spawn(async move { store.accept(job(number)).await.expect("accepts") });
        }
        tasks.join_all().await;
    });
    store
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

/// Measures a pick without the way to the writer and back.
fn pick_alone(
    bencher: &mut Bencher<'_>,
    runtime: &Runtime,
    store: &SqliteStore,
    wish: &ClaimRequest,
) {
    bencher.iter_custom(|times| {
        let before = store.stats().commit_time;
        runtime.block_on(async {
            for _ in 0..times {
                look(store, wish.clone()).await;
            }
        });
        store.stats().commit_time.saturating_sub(before)
    });
}

/// The job at the end of the queue.
async fn last(store: &SqliteStore) -> Job {
    let new = job(7);
    let id = new.id;
    store.accept(new).await.expect("accepts");
    store.job(id).await.expect("reads").expect("is there")
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime starts");
    let dir = tempfile::tempdir().expect("directory");
    let store = filled(&runtime, &dir);

    let mut group = criterion.benchmark_group("100000 queued, 50 runners, 20 callers");
    for (name, wish) in looks() {
        group.bench_function(name, |bencher| pick_alone(bencher, &runtime, &store, &wish));
    }
    group.bench_function("pick, with the way to the writer and back", |bencher| {
        bencher.iter(|| runtime.block_on(look(&store, wish(drain()))));
    });
    group.bench_function("where a job stands", |bencher| {
        let last = runtime.block_on(last(&store));
        bencher.iter(|| runtime.block_on(store.standing(&last, NOW)).expect("reads"));
    });
    group.bench_function("claim and release", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let claimed = store.claim(wish(drain())).await.expect("claims");
                let job = claimed.expect("is ready").job;
                let released = settlement(job.seq, job.progress.epoch, Outcome::Released);
                store.settle(released).await.expect("settles")
            })
        });
    });
    group.bench_function("accept, claim and settle", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                store.accept(job(7)).await.expect("accepts");
                let claimed = store.claim(wish(drain())).await.expect("claims");
                let job = claimed.expect("is ready").job;
                let settled = settlement(job.seq, job.progress.epoch, done());
                store.settle(settled).await.expect("settles")
            })
        });
    });
    group.finish();
}

criterion_group!(pick, benches);
criterion_main!(pick);
