//! Promises about the end of a claim.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use foreman_job::JobState;
use foreman_job::lifecycle::{Epoch, IllegalTransition};

use super::Subject;
use super::words::{
    accept, answer, asking, at, claim_any, done, failed, failure, read, retry, running, settle,
    settlement, wish,
};
use crate::{Outcome, StoreError};

/// The answer comes back byte for byte, with the boundaries of its chunks.
pub async fn a_done_job_keeps_its_answer_chunk_by_chunk(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;

    let ended = settle(&*store, &job, 9, done()).await;

    assert_eq!(ended.progress.state, JobState::Done);
    assert_eq!(ended.finished_at, Some(at(9)));
    assert_eq!(
        (ended.target_status, ended.usage),
        (Some(203), answer().usage)
    );
    assert_eq!(read(&*store, job.id).await, ended);
    assert_eq!(store.answer(job.id).await.expect("reads"), Some(answer()));
    assert_eq!((store.counts().loading, store.counts().done), (0, 1));
}

/// What the target had said is kept with the failure.
pub async fn a_failed_job_keeps_its_failure_and_the_answer_if_any(subject: &impl Subject) {
    let store = subject.open();
    for kept in [None, Some(answer())] {
        let job = running(&*store).await;

        let ended = settle(&*store, &job, 9, failed(kept.clone())).await;

        assert_eq!(ended.progress.state, JobState::Failed);
        assert_eq!(ended.progress.attempt, 1);
        assert_eq!(ended.failure, Some(failure()));
        assert_eq!(
            ended.target_status,
            kept.as_ref().map(|kept| kept.head.status)
        );
        assert_eq!(read(&*store, job.id).await, ended);
        assert_eq!(store.answer(job.id).await.expect("reads"), kept);
    }
}

/// A rest keeps a job out of the ready queue until the clock says so.
pub async fn a_retried_job_waits_until_its_rest_is_over(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;

    let resting = settle(&*store, &job, 3, retry(Some(50))).await;

    assert_eq!(resting.progress.state, JobState::Queued);
    assert_eq!(resting.progress.attempt, 1);
    assert_eq!(resting.progress.retry_at, Some(at(50)));
    assert_eq!(resting.failure, Some(failure()));
    assert_eq!(resting.finished_at, None);
    assert_eq!(claim_any(&*store, 60).await, None);
    assert_eq!(store.due(at(50)).await.expect("looks").promoted, 1);
    let claimed = claim_any(&*store, 60).await.expect("is ready").job;
    assert_eq!(
        (claimed.id, claimed.progress.epoch),
        (job.id, Epoch::new(2))
    );
}

/// Some failures need no rest.
pub async fn a_retry_without_rest_is_ready_at_once(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;

    settle(&*store, &job, 3, retry(None)).await;

    let claimed = claim_any(&*store, 3).await.expect("is ready");
    assert_eq!(claimed.job.seq, job.seq);
    assert_eq!(claimed.job.started_at, None);
}

/// A shutdown is no fault of the job.
pub async fn a_released_job_spends_nothing(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;

    let released = settle(&*store, &job, 3, Outcome::Released).await;

    assert_eq!(released.progress.state, JobState::Queued);
    assert_eq!(
        (released.progress.attempt, released.progress.crashes),
        (0, 0)
    );
    assert!(claim_any(&*store, 4).await.is_some());
}

/// A run that was stopped leaves no answer.
pub async fn a_cancelled_run_ends_the_job(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;

    let ended = settle(&*store, &job, 3, Outcome::Cancelled).await;

    assert_eq!(ended.progress.state, JobState::Cancelled);
    assert_eq!(ended.finished_at, Some(at(3)));
    assert_eq!(store.answer(job.id).await.expect("reads"), None);
    assert_eq!(store.counts().cancelled, 1);
}

/// Whatever the outcome, the slot is free afterwards.
pub async fn a_settled_job_gives_back_its_slot(subject: &impl Subject) {
    let store = subject.open();
    for outcome in [
        done(),
        failed(None),
        retry(Some(1000)),
        Outcome::Cancelled,
        Outcome::Released,
    ] {
        let job = running(&*store).await;
        settle(&*store, &job, 3, outcome).await;
    }
    accept(&*store, asking("a", 4)).await;

    assert!(claim_any(&*store, 5).await.is_some());
}

/// A run that was replaced can neither start nor settle.
pub async fn a_lost_epoch_changes_nothing(subject: &impl Subject) {
    let store = subject.open();
    let first = running(&*store).await;
    settle(&*store, &first, 3, retry(None)).await;
    let second = claim_any(&*store, 4).await.expect("is ready").job;
    let old = first.progress.epoch;

    let started = store.start(first.seq, old, at(5)).await;
    let settled = store.settle(settlement(&first, old, 5, done())).await;

    for refused in [started.err(), settled.err()] {
        let lost = matches!(
            refused,
            Some(StoreError::Lost(IllegalTransition::Epoch { given, .. })) if given == old
        );
        assert!(lost, "{refused:?}");
    }
    assert_eq!(read(&*store, first.id).await, second);
    assert_eq!(store.answer(first.id).await.expect("reads"), None);
    assert_eq!((store.counts().loading, store.counts().done), (1, 0));
}

/// Terminal is final.
pub async fn an_ended_job_never_changes(subject: &impl Subject) {
    let store = subject.open();
    for outcome in [done(), failed(None), Outcome::Cancelled] {
        let job = running(&*store).await;
        let ended = settle(&*store, &job, 3, outcome).await;
        let epoch = job.progress.epoch;

        let started = store.start(job.seq, epoch, at(5)).await;
        assert!(matches!(started, Err(StoreError::Lost(_))), "{started:?}");
        for again in [
            done(),
            failed(Some(answer())),
            retry(None),
            Outcome::Released,
        ] {
            let settled = store.settle(settlement(&job, epoch, 5, again)).await;
            assert!(matches!(settled, Err(StoreError::Lost(_))), "{settled:?}");
        }

        assert_eq!(read(&*store, job.id).await, ended);
    }
}

/// There is nothing to settle.
pub async fn a_job_that_is_not_there_cannot_be_settled(subject: &impl Subject) {
    let store = subject.open();

    let settled = store
        .settle(settlement(
            &asking("a", 1).to_job(77),
            Epoch::new(1),
            5,
            done(),
        ))
        .await;
    let started = store.start(77, Epoch::new(1), at(5)).await;

    assert!(matches!(settled, Err(StoreError::NotFound)), "{settled:?}");
    assert!(matches!(started, Err(StoreError::NotFound)), "{started:?}");
    assert_eq!(store.counts().done, 0);
}

/// The first byte is noted once.
pub async fn the_first_byte_makes_a_job_work(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    let epoch = job.progress.epoch;

    store.start(job.seq, epoch, at(8)).await.expect("starts");

    let working = read(&*store, job.id).await;
    assert_eq!(working.progress.state, JobState::Working);
    assert_eq!(working.started_at, Some(at(8)));
    assert_eq!((store.counts().loading, store.counts().working), (0, 1));
    assert!(store.start(job.seq, epoch, at(9)).await.is_err());
    assert!(store.claim(wish(9)).await.is_err(), "the slot is taken");
    let ended = settle(&*store, &job, 10, done()).await;
    assert_eq!(ended.started_at, Some(at(8)));
}
