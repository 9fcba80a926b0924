//! What a pick, an acceptance and a settlement cost with a long queue.

#![expect(clippy::expect_used, reason = "a benchmark ends by a panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use foreman_job::{
    Choice, Endpoint, JobId, PickReason, Priority, QueueHeads, Random, RunnerKey, Timestamp,
};
use foreman_store::{
    AnswerHead, Choose, ClaimRequest, NewJob, Outcome, QueueStore, Settlement, SqliteConfig,
    SqliteStore, StoredAnswer, StoredRequest,
};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const QUEUED: u64 = 100_000;
const RUNNERS: u64 = 50;
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
        caller: None,
        created_at: NOW,
        expires_at: None,
        request: StoredRequest {
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: vec![b'x'; 1024].into(),
        },
        idempotency: None,
    }
}

fn wish(choose: Choose) -> ClaimRequest {
    ClaimRequest {
        slot: 0,
        resident: vec![runner(RUNNERS - 1), runner(7)],
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

const fn settlement(
    seq: i64,
    epoch: foreman_job::lifecycle::Epoch,
    outcome: Outcome,
) -> Settlement {
    Settlement {
        seq,
        epoch,
        now: NOW,
        outcome,
    }
}

fn done() -> Outcome {
    Outcome::Done {
        answer: StoredAnswer {
            head: AnswerHead {
                status: 200,
                headers: Vec::new(),
            },
            chunks: vec![vec![b'y'; 120].into(); 50],
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
async fn look(store: &SqliteStore) {
    let declined = wish(Arc::new(|heads: &QueueHeads| {
        black_box(heads);
        None
    }));
    store.claim(declined).await.expect("claims");
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime starts");
    let dir = tempfile::tempdir().expect("directory");
    let store = filled(&runtime, &dir);

    let mut group = criterion.benchmark_group("100000 queued, 50 runners");
    group.bench_function("pick", |bencher| {
        bencher.iter(|| runtime.block_on(look(&store)));
    });
    group.bench_function("pick, without the way to the writer and back", |bencher| {
        bencher.iter_custom(|times| {
            let before = store.stats().commit_time;
            runtime.block_on(async {
                for _ in 0..times {
                    look(&store).await;
                }
            });
            store.stats().commit_time.saturating_sub(before)
        });
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
