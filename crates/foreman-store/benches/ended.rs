//! What a queue costs that remembers a million ended jobs.

#![expect(clippy::expect_used, reason = "a benchmark ends by a panic")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};
use foreman_job::{
    Choice, Endpoint, JobId, JobState, PickReason, Priority, QueueHeads, Random, RunnerKey,
    Timestamp,
};
use foreman_store::{
    ClaimRequest, JobFilter, NewJob, Purge, QueueStore, SqliteConfig, SqliteStore, StoredRequest,
};
use rusqlite::{Connection, named_params};
use tokio::runtime::Runtime;

const ENDED: i64 = 1_000_000;
const QUEUED: u64 = 1_000;

/// After all of them.
const NOW: Timestamp = Timestamp::from_millis(2_000_000_000);

const INSERT: &str = "\
INSERT INTO jobs (id, endpoint, model, runner, state, priority, created_at, claimed_at, started_at,
                  finished_at, caller, attempt, epoch)
VALUES (:id, '/api/chat', 'm', 'sha256:0|num_ctx=8192', :state, 1, :at, :at, :at, :at, 'c', 0, 1)";

const INSERT_BODY: &str = "\
INSERT INTO job_requests (seq, headers, body)
VALUES (last_insert_rowid(), '[]', zeroblob(300))";

type Group<'c> = BenchmarkGroup<'c, WallTime>;

/// Numbers that never come twice.
struct Counter;

impl Random for Counter {
    fn next_u64(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

fn config(path: &Path) -> SqliteConfig {
    SqliteConfig {
        reserve: 0,
        ballast: 0,
        ..SqliteConfig::new(path)
    }
}

/// Writes ended jobs by hand: their lives would take an hour.
fn remember(path: &Path) {
    let mut conn = Connection::open(path).expect("database opens");
    let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'jobs_enter'";
    let trigger: String = conn
        .query_row(trigger, [], |row| row.get(0))
        .expect("the trigger is there");
    let tx = conn.transaction().expect("begins");
    tx.execute_batch("DROP TRIGGER jobs_enter").expect("lifts");
    {
        let mut job = tx.prepare(INSERT).expect("prepares");
        let mut body = tx.prepare(INSERT_BODY).expect("prepares");
        for number in 0..ENDED {
            let at = Timestamp::from_millis(number * 1_000);
            let state = [JobState::Done, JobState::Failed, JobState::Cancelled];
            let which = usize::try_from(number % 3).unwrap_or_default();
            job.execute(named_params! {
                ":id": JobId::generate(at, &Counter).to_string(),
                ":state": state.get(which).map(|state| state.as_str()),
                ":at": at.as_millis(),
            })
            .expect("writes");
            body.execute([]).expect("writes");
        }
    }
    tx.execute_batch(&trigger).expect("sets again");
    tx.commit().expect("commits");
}

fn job(number: u64) -> NewJob {
    NewJob {
        id: JobId::generate(NOW, &Counter),
        endpoint: Endpoint::Chat,
        model: format!("m{}", number % 10),
        runner: RunnerKey::new(&format!("sha256:{}", number % 10), ""),
        priority: Priority::Normal,
        caller: None,
        created_at: NOW,
        not_before: None,
        expires_at: None,
        request: StoredRequest {
            headers: [].into(),
            body: vec![b'x'; 1024].into(),
        },
        idempotency: None,
        max_queue: None,
        retry_of: None,
        metadata: None,
    }
}

/// A claim that takes nothing.
fn look() -> ClaimRequest {
    ClaimRequest {
        foreseen: None,
        is_begun: false,
        slot: 0,
        resident: vec![RunnerKey::new("sha256:7", "")],
        paused: Vec::new(),
        aged_before: None,
        used: Arc::new(|_| 0.0),
        now: NOW,
        choose: Arc::new(|heads: &QueueHeads| {
            black_box(Choice {
                seq: heads.oldest.seq,
                reason: PickReason::Oldest,
            });
            None
        }),
    }
}

/// Reads pages of a hundred jobs.
fn lists(group: &mut Group<'_>, runtime: &Runtime, store: &SqliteStore) {
    let pages = [
        ("list, the newest hundred", None, None),
        ("list, a hundred from the middle", None, Some(ENDED / 2)),
        ("list, a hundred that failed", Some(JobState::Failed), None),
    ];
    for (name, state, before) in pages {
        let filter = JobFilter {
            state,
            ..JobFilter::default()
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| runtime.block_on(store.list(filter.clone(), before, 100)));
        });
    }
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("runtime starts");
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("queue.db");
    let store = SqliteStore::open(&config(&path)).expect("store opens");
    runtime.block_on(store.close()).expect("closes");
    drop(store);
    remember(&path);

    let mut group = criterion.benchmark_group("1000000 ended, 1000 queued");
    group.sample_size(10);
    group.bench_function("start after a stop that was not clean", |bencher| {
        bencher.iter_batched(
            || (),
            |()| drop(SqliteStore::open(&config(&path)).expect("store opens")),
            BatchSize::PerIteration,
        );
    });
    let store = SqliteStore::open(&config(&path)).expect("store opens");
    runtime.block_on(async {
        for number in 0..QUEUED {
            store.accept(job(number)).await.expect("accepts");
        }
    });
    group.sample_size(100);
    group.bench_function("pick", |bencher| {
        bencher.iter_custom(|times| {
            let before = store.stats().commit_time;
            runtime.block_on(async {
                for _ in 0..times {
                    store.claim(look()).await.expect("claims");
                }
            });
            store.stats().commit_time.saturating_sub(before)
        });
    });
    lists(&mut group, &runtime, &store);
    group.sample_size(20);
    group.bench_function("purge, a step of 500", |bencher| {
        bencher.iter(|| {
            let purge = Purge {
                bodies_before: NOW,
                jobs_before: NOW,
                limit: 500,
            };
            let purged = runtime.block_on(store.purge(purge)).expect("purges");
            assert_eq!(purged.jobs, 500);
        });
    });
    group.finish();
}

criterion_group!(ended, benches);
criterion_main!(ended);
