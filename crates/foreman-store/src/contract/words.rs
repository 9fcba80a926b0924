//! Words in which the promises are written.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use foreman_job::lifecycle::Epoch;
use foreman_job::{
    Choice, Endpoint, FailureKind, HeadJob, Job, JobFailure, JobId, PickReason, Priority,
    QueueHeads, Random, RunnerKey, Timestamp, Usage,
};

use crate::{
    Accepted, AnswerHead, Answered, Choose, ClaimRequest, Claimed, IdempotencyKey, LogEvent,
    NewJob, Outcome, QueueCounts, QueueStore, RunLog, Settlement, StoredAnswer, StoredRequest,
};

pub(super) const SLOT: u32 = 0;

/// Numbers that never come twice.
struct Counter;

impl Random for Counter {
    fn next_u64(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

pub(super) const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn runner(name: &str) -> RunnerKey {
    RunnerKey::new(name, "")
}

/// A job for a model, accepted at a time.
pub(super) fn asking(model: &str, created_at: i64) -> NewJob {
    NewJob {
        id: JobId::generate(at(created_at), &Counter),
        endpoint: Endpoint::Chat,
        model: model.to_owned(),
        runner: runner(model),
        priority: Priority::Normal,
        caller: Some("tests".to_owned()),
        created_at: at(created_at),
        not_before: None,
        expires_at: None,
        request: StoredRequest {
            headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
            body: Bytes::from(format!("{{\"model\":\"{model}\"}}")),
        },
        idempotency: None,
        max_queue: None,
        retry_of: None,
        metadata: None,
    }
}

pub(super) fn key(scope: &str, key: &str, body: u8) -> IdempotencyKey {
    IdempotencyKey {
        scope: scope.to_owned(),
        key: key.to_owned(),
        request_hash: [body; 32],
    }
}

pub(super) async fn accept(store: &dyn QueueStore, job: NewJob) -> i64 {
    match store.accept(job).await.expect("job is accepted") {
        Accepted::New { seq } => seq,
        Accepted::Existing(job) => job.seq,
    }
}

/// Takes the oldest.
pub(super) fn oldest() -> Choose {
    Arc::new(|heads: &QueueHeads| Some(choice(&heads.oldest, PickReason::Oldest)))
}

/// Takes the oldest of the first resident runner, or the oldest.
pub(super) fn drain() -> Choose {
    Arc::new(|heads: &QueueHeads| {
        Some(match heads.resident.first() {
            Some(head) => choice(head, PickReason::Resident),
            None => choice(&heads.oldest, PickReason::Oldest),
        })
    })
}

pub(super) const fn choice(head: &HeadJob, reason: PickReason) -> Choice {
    Choice {
        seq: head.seq,
        reason,
    }
}

/// A wish to claim the oldest.
pub(super) fn wish(now: i64) -> ClaimRequest {
    ClaimRequest {
        foreseen: None,
        is_begun: false,
        slot: SLOT,
        resident: Vec::new(),
        paused: Vec::new(),
        aged_before: None,
        used: Arc::new(|_| 0.0),
        now: at(now),
        choose: oldest(),
    }
}

pub(super) async fn claim_any(store: &dyn QueueStore, now: i64) -> Option<Claimed> {
    store.claim(wish(now)).await.expect("claim is possible")
}

/// Claims a job out of its turn, into a slot of its own.
pub(super) async fn claim_at(store: &dyn QueueStore, seq: i64) -> Job {
    let request = ClaimRequest {
        slot: u32::try_from(seq).expect("few jobs"),
        choose: Arc::new(move |_: &QueueHeads| {
            Some(Choice {
                seq,
                reason: PickReason::Aged,
            })
        }),
        ..wish(2)
    };
    let claimed = store.claim(request).await.expect("claims");
    claimed.expect("a job is ready").job
}

/// Accepts three jobs of a kind and leaves one of them running, one ended, and one at rest.
pub(super) async fn one_of_each_that_is_not_ready(store: &dyn QueueStore, kind: &NewJob) {
    for outcome in [None, Some(done()), Some(retry(Some(1_000_000)))] {
        let id = asking("a", 1).id;
        let seq = accept(store, NewJob { id, ..kind.clone() }).await;
        let job = claim_at(store, seq).await;
        if let Some(outcome) = outcome {
            settle(store, &job, 3, outcome).await;
        }
    }
}

/// Accepts a job and claims it.
pub(super) async fn running(store: &dyn QueueStore) -> Job {
    accept(store, asking("a", 1)).await;
    claim_any(store, 2).await.expect("a job is ready").job
}

/// Accepts a job and claims it into a slot.
pub(super) async fn running_in(store: &dyn QueueStore, slot: u32) -> Job {
    accept(store, asking("a", 1)).await;
    let request = ClaimRequest { slot, ..wish(2) };
    let claimed = store.claim(request).await.expect("claims");
    claimed.expect("a job is ready").job
}

/// The end of a run whose events were not logged before.
pub(super) fn settlement(job: &Job, epoch: Epoch, now: i64, outcome: Outcome) -> Settlement {
    let chunks = match outcome.answer() {
        Some(_) => answer().chunks,
        None => Vec::new(),
    };
    Settlement {
        id: job.id,
        seq: Some(job.seq),
        epoch,
        now: at(now),
        outcome,
        log: Some(RunLog {
            first: 2,
            events: chunks.into_iter().map(LogEvent::Chunk).collect(),
        }),
    }
}

/// Ends the run of a claimed job.
pub(super) async fn settle(store: &dyn QueueStore, job: &Job, now: i64, outcome: Outcome) -> Job {
    store
        .settle(settlement(job, job.progress.epoch, now, outcome))
        .await
        .expect("run can be settled")
}

pub(super) async fn read(store: &dyn QueueStore, id: JobId) -> Job {
    store
        .job(id)
        .await
        .expect("job can be read")
        .expect("job is there")
}

pub(super) fn answer() -> StoredAnswer {
    StoredAnswer {
        head: AnswerHead {
            status: 203,
            headers: [
                ("x-one".to_owned(), "1".to_owned()),
                ("x-one".to_owned(), "2".to_owned()),
            ]
            .into(),
        },
        chunks: vec![
            Bytes::from_static(b"{\"done\":false}\n"),
            Bytes::new(),
            Bytes::from(vec![b'x'; 100_000]),
            Bytes::from_static(b"{\"done\":true}\n"),
        ],
        usage: Some(Usage {
            prompt_tokens: 7,
            completion_tokens: 11,
            load: Duration::from_nanos(1_234_567_891),
            total: Duration::from_nanos(9_876_543_219),
        }),
    }
}

pub(super) fn done() -> Outcome {
    Outcome::Done {
        answer: answered(answer()),
    }
}

fn answered(answer: StoredAnswer) -> Answered {
    Answered {
        head: answer.head,
        usage: answer.usage,
    }
}

pub(super) fn failure() -> JobFailure {
    JobFailure::new(FailureKind::TargetUnreachable, "connection refused")
}

pub(super) fn retry(retry_at: Option<i64>) -> Outcome {
    Outcome::Retry {
        failure: failure(),
        spends_attempt: true,
        retry_at: retry_at.map(at),
    }
}

pub(super) fn failed(answer: Option<StoredAnswer>) -> Outcome {
    Outcome::Failed {
        failure: failure(),
        spends_attempt: true,
        answer: answer.map(answered),
    }
}

pub(super) const fn total(counts: &QueueCounts) -> u64 {
    counts.queued + counts.loading + counts.working + counts.done + counts.failed + counts.cancelled
}
