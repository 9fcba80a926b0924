//! Promises about cancellation.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use foreman_job::JobState;

use super::Subject;
use super::words::{accept, asking, at, claim_any, done, failed, read, retry, running, settle};
use crate::{Outcome, Withdrawal};

/// It never reaches the target.
pub async fn a_queued_job_is_cancelled_and_never_claimed(subject: &impl Subject) {
    let store = subject.open();
    let new = asking("a", 1);
    accept(&*store, new.clone()).await;

    let withdrawal = store.cancel(new.id, at(2)).await.expect("cancels");

    let job = read(&*store, new.id).await;
    assert_eq!(job.progress.state, JobState::Cancelled);
    assert_eq!(job.finished_at, Some(at(2)));
    assert_eq!(withdrawal, Withdrawal::Cancelled(Box::new(job)));
    assert_eq!(claim_any(&*store, 3).await, None);
    assert_eq!((store.counts().queued, store.counts().cancelled), (0, 1));
}

/// The wish is noted, and noting it again changes nothing.
pub async fn a_running_job_is_asked_to_stop(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;

    for now in [5, 6] {
        let withdrawal = store.cancel(job.id, at(now)).await.expect("cancels");

        let asked = read(&*store, job.id).await;
        assert!(asked.progress.cancel_requested);
        assert_eq!(asked.progress.state, JobState::Loading);
        assert_eq!(withdrawal, Withdrawal::Requested(Box::new(asked)));
    }
    let ended = settle(&*store, &job, 7, Outcome::Cancelled).await;
    assert_eq!(ended.progress.state, JobState::Cancelled);
}

/// Nobody wants it any more, so it is not run again.
pub async fn a_wish_to_cancel_outlives_a_retry_and_a_release(subject: &impl Subject) {
    let store = subject.open();
    for outcome in [retry(Some(9)), Outcome::Released] {
        let job = running(&*store).await;
        store.cancel(job.id, at(5)).await.expect("cancels");

        let ended = settle(&*store, &job, 6, outcome).await;

        assert_eq!(ended.progress.state, JobState::Cancelled);
        assert_eq!(ended.finished_at, Some(at(6)));
        assert_eq!(read(&*store, job.id).await, ended);
    }
}

/// One of the two wins, never both.
pub async fn an_answer_that_came_first_counts(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    store.cancel(job.id, at(5)).await.expect("cancels");

    let ended = settle(&*store, &job, 6, done()).await;

    assert_eq!(ended.progress.state, JobState::Done);
    let withdrawal = store.cancel(job.id, at(7)).await.expect("cancels");
    assert_eq!(withdrawal, Withdrawal::Final(Box::new(ended)));
}

/// A late wish is told what became of the job.
pub async fn an_ended_job_stays_as_it_is(subject: &impl Subject) {
    let store = subject.open();
    for outcome in [done(), failed(None), Outcome::Cancelled] {
        let job = running(&*store).await;
        let ended = settle(&*store, &job, 3, outcome).await;

        let withdrawal = store.cancel(job.id, at(9)).await.expect("cancels");

        assert_eq!(withdrawal, Withdrawal::Final(Box::new(ended.clone())));
        assert_eq!(read(&*store, job.id).await, ended);
    }
}

/// There is nothing to cancel.
pub async fn an_unknown_job_is_unknown(subject: &impl Subject) {
    let store = subject.open();

    let withdrawal = store.cancel(asking("a", 1).id, at(1)).await;

    assert_eq!(withdrawal.expect("cancels"), Withdrawal::Unknown);
}
