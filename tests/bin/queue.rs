//! A queue that does one of everything, and says what it was told; for a disk that fails.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what is printed is what the test reads"
)]

use std::sync::Arc;
use std::time::Duration;

use foreman_job::{
    Choice, Endpoint, FailureKind, Job, JobFailure, JobId, PickReason, Priority, QueueHeads,
    Random, RunnerKey, Timestamp,
};
use foreman_store::{
    AnswerHead, Answered, ClaimRequest, LogEvent, NewJob, Outcome, Purge, QueueStore, RunLog,
    Settlement, SqliteConfig, SqliteStore, StoreError, StoredRequest,
};

const NEVER: Timestamp = Timestamp::from_millis(1_000_000);

struct Numbered(u64);

impl Random for Numbered {
    fn next_u64(&self) -> u64 {
        self.0
    }
}

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let config = SqliteConfig {
        reserve: 0,
        ballast: 0,
        readers: 1,
        idle: Duration::from_hours(1),
        busy: Duration::ZERO,
        ..SqliteConfig::new(path)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let store = match SqliteStore::open(&config) {
        Ok(store) => store,
        Err(error) => return println!("closed {error}"),
    };
    if let Err(error) = runtime.unwrap().block_on(script(&store)) {
        println!("ended {error}");
    }
}

/// Says what became of a call; one that failed ends the script unless nothing was changed.
fn told<T>(word: &str, id: JobId, outcome: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(value) => {
            println!("{word} {id}");
            Ok(Some(value))
        }
        Err(error @ (StoreError::Unknown(_) | StoreError::Failed(_))) => {
            println!("unknown-{word} {id}");
            Err(error)
        }
        Err(_) => {
            println!("not-{word} {id}");
            Ok(None)
        }
    }
}

async fn script(store: &SqliteStore) -> Result<(), StoreError> {
    store.recover(at(1), NEVER).await.ok();
    for number in 1..=4 {
        let new = job(number);
        let id = new.id;
        told("accepted", id, store.accept(new).await)?;
    }
    let cancelled = job(4).id;
    told("cancelled", cancelled, store.cancel(cancelled, at(2)).await)?;
    for outcome in [done(), failed(), released(), done()] {
        run(store, outcome).await?;
    }
    let purge = Purge {
        bodies_before: at(0),
        jobs_before: at(4),
        limit: 2,
    };
    if let Ok(purged) = store.purge(purge).await {
        println!("purged {}", purged.jobs);
    }
    store.due(at(9)).await.ok();
    store.close().await
}

/// Claims a job, logs a little of it, and settles it.
async fn run(store: &SqliteStore, outcome: Outcome) -> Result<(), StoreError> {
    let Ok(Some(claimed)) = store.claim(wish()).await else {
        return Ok(());
    };
    let Job { seq, id, .. } = claimed.job;
    let epoch = claimed.job.progress.epoch;
    store.start(seq, epoch, at(3)).await.ok();
    let log = |events: usize| RunLog {
        first: claimed.next_event,
        events: vec![LogEvent::Chunk(vec![b'y'; 300].into()); events],
    };
    store.append_events(seq, epoch, log(2)).await.ok();
    let word = match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Failed { .. } => "failed",
        Outcome::Retry { .. } | Outcome::Cancelled | Outcome::Released => "queued",
    };
    let settlement = Settlement {
        id,
        seq: Some(seq),
        epoch,
        now: at(5),
        outcome,
        log: Some(log(4)),
    };
    told(word, id, store.settle(settlement).await).map(|_| ())
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn job(number: u64) -> NewJob {
    NewJob {
        id: JobId::generate(at(1), &Numbered(number)),
        endpoint: Endpoint::Chat,
        model: "m".to_owned(),
        runner: RunnerKey::new("m", ""),
        priority: Priority::Normal,
        caller: None,
        created_at: at(1),
        not_before: None,
        expires_at: None,
        request: StoredRequest {
            headers: [].into(),
            body: vec![b'x'; 900].into(),
        },
        idempotency: None,
        max_queue: None,
        retry_of: None,
        metadata: None,
    }
}

fn wish() -> ClaimRequest {
    ClaimRequest {
        foreseen: None,
        is_begun: false,
        slot: 0,
        resident: Vec::new(),
        paused: Vec::new(),
        aged_before: None,
        used: Arc::new(|_| 0.0),
        now: at(2),
        choose: Arc::new(|heads: &QueueHeads| {
            Some(Choice {
                seq: heads.oldest.seq,
                reason: PickReason::Oldest,
            })
        }),
    }
}

fn done() -> Outcome {
    let head = AnswerHead {
        status: 200,
        headers: [].into(),
    };
    Outcome::Done {
        answer: Answered { head, usage: None },
    }
}

fn failed() -> Outcome {
    Outcome::Failed {
        failure: JobFailure::new(FailureKind::Stalled, "nothing came"),
        spends_attempt: true,
        answer: None,
    }
}

const fn released() -> Outcome {
    Outcome::Released
}
