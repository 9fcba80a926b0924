//! The suite of all stores, and what only this one promises.

mod backup;
mod columns;
mod damage;
mod full;
mod group;
mod late;
mod log_room;
mod owner;
mod plans;
mod schema;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foreman_job::{
    Endpoint, FailureKind, JobFailure, JobId, JobState, PickReason, Priority, QueueHeads, Random,
    RunnerKey, Timestamp,
};
use tempfile::TempDir;

use super::*;
use crate::contract::Subject;
use crate::{
    AnswerHead, Answered, ClaimRequest, Claimed, LogEvent, NewJob, Outcome, QueueStore, RunLog,
    Settlement, StoredRequest,
};

/// A database in a directory of its own.
struct OnDisk {
    dir: TempDir,
}

impl Default for OnDisk {
    fn default() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }
}

impl OnDisk {
    fn path(&self) -> PathBuf {
        self.dir.path().join("queue.db")
    }

    fn config(&self) -> SqliteConfig {
        SqliteConfig {
            reserve: 0,
            ballast: 0,
            readers: 2,
            log_room: 0,
            // What is read is what the file has.
            recent_requests: 0,
            idle: Duration::from_millis(10),
            ..SqliteConfig::new(self.path())
        }
    }

    fn open_store(&self) -> SqliteStore {
        SqliteStore::open(&self.config()).unwrap()
    }
}

impl Subject for OnDisk {
    fn open(&self) -> Arc<dyn QueueStore> {
        Arc::new(self.open_store())
    }
}

mod contract {
    use super::OnDisk;

    crate::store_contract!(OnDisk);
    crate::durable_store_contract!(OnDisk);
}

mod contract_with_memory {
    use super::{Arc, OnDisk, QueueStore, SqliteConfig, SqliteStore, Subject};

    /// The same database with memory for requests.
    #[derive(Default)]
    struct Remembering(OnDisk);

    impl Subject for Remembering {
        fn open(&self) -> Arc<dyn QueueStore> {
            let config = SqliteConfig {
                recent_requests: 4096,
                ..self.0.config()
            };
            Arc::new(SqliteStore::open(&config).unwrap())
        }
    }

    crate::store_contract!(Remembering);
}

struct Numbered(u64);

impl Random for Numbered {
    fn next_u64(&self) -> u64 {
        self.0
    }
}

pub(super) fn job(number: u64, body: usize) -> NewJob {
    NewJob {
        id: JobId::generate(Timestamp::from_millis(1), &Numbered(number)),
        endpoint: Endpoint::Generate,
        model: "m".to_owned(),
        runner: RunnerKey::new("m", ""),
        priority: Priority::Normal,
        caller: None,
        created_at: Timestamp::from_millis(1),
        not_before: None,
        expires_at: None,
        request: StoredRequest {
            headers: [].into(),
            body: vec![b'x'; body].into(),
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
        now: Timestamp::from_millis(2),
        choose: Arc::new(|heads: &QueueHeads| {
            Some(foreman_job::Choice {
                seq: heads.oldest.seq,
                reason: PickReason::Oldest,
            })
        }),
    }
}

async fn accept(store: &SqliteStore, number: u64) {
    store.accept(job(number, 10)).await.unwrap();
}

fn done(claimed: &Claimed) -> Settlement {
    Settlement {
        id: claimed.job.id,
        seq: Some(claimed.job.seq),
        epoch: claimed.job.progress.epoch,
        now: Timestamp::from_millis(3),
        log: Some(RunLog {
            first: claimed.next_event,
            events: vec![LogEvent::Chunk(b"{}".as_slice().into())],
        }),
        outcome: Outcome::Done {
            answer: Answered {
                head: AnswerHead {
                    status: 200,
                    headers: [].into(),
                },
                usage: None,
            },
        },
    }
}
