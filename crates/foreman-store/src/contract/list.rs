//! Promises about lists, and about jobs that are forgotten on request.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use std::sync::Arc;

use foreman_job::{Endpoint, JobId, JobState};

use super::Subject;
use super::words::{accept, asking, at, claim_any, done, key, read, retry, running, settle, total};
use crate::{Accepted, Deletion, JobFilter, NewJob, QueueStore};

/// The last accepted job comes first, whatever became of the others.
pub async fn jobs_are_listed_the_newest_first(subject: &impl Subject) {
    let store = subject.open();
    let ids = accepted(&*store).await;
    claim_any(&*store, 9).await.expect("a job is ready");

    let listed = list(&*store, JobFilter::default(), None, 99).await;

    let newest_first: Vec<JobId> = ids.into_iter().rev().collect();
    assert_eq!(listed, newest_first);
}

/// A page begins where the one before it ended, whatever came or went meanwhile.
pub async fn a_list_is_read_in_pages(subject: &impl Subject) {
    let store = subject.open();
    let [one, two, three, four, five] = accepted(&*store).await;

    let first = list(&*store, JobFilter::default(), None, 2).await;
    assert_eq!(first, [five, four]);
    let before = read(&*store, four).await.seq;
    accept(&*store, asking("late", 9)).await;
    for id in [four, two] {
        store.delete(id, at(9)).await.expect("deletes");
    }

    let rest = list(&*store, JobFilter::default(), Some(before), 9).await;
    assert_eq!(rest, [three, one]);
}

/// All that is asked for must be true of a listed job.
pub async fn a_list_is_filtered(subject: &impl Subject) {
    let store = subject.open();
    let done_one = running(&*store).await;
    settle(&*store, &done_one, 3, done()).await;
    let theirs = NewJob {
        caller: Some("them".to_owned()),
        endpoint: Endpoint::V1Messages,
        ..asking("b", 4)
    };
    let mine = NewJob {
        caller: None,
        ..asking("b", 5)
    };
    for job in [&theirs, &mine] {
        accept(&*store, job.clone()).await;
    }

    let by_state = JobFilter {
        state: Some(JobState::Done),
        ..JobFilter::default()
    };
    let by_model = JobFilter {
        model: Some(Arc::new(|model: &str| model.eq_ignore_ascii_case("B"))),
        ..JobFilter::default()
    };
    let by_caller = JobFilter {
        caller: Some("them".to_owned()),
        ..by_model.clone()
    };
    let by_endpoint = JobFilter {
        endpoint: Some(Endpoint::V1Messages),
        state: Some(JobState::Done),
        ..JobFilter::default()
    };
    assert_eq!(list(&*store, by_state, None, 9).await, [done_one.id]);
    assert_eq!(list(&*store, by_model, None, 9).await, [mine.id, theirs.id]);
    assert_eq!(list(&*store, by_caller, None, 9).await, [theirs.id]);
    assert!(list(&*store, by_endpoint, None, 9).await.is_empty());
}

/// Nothing of a forgotten job is left.
pub async fn a_deleted_job_is_gone_with_its_bodies(subject: &impl Subject) {
    let store = subject.open();
    let new = NewJob {
        idempotency: Some(key("me", "k", 1)),
        ..asking("a", 1)
    };
    accept(&*store, new.clone()).await;
    let job = claim_any(&*store, 2).await.expect("is ready").job;
    let ended = settle(&*store, &job, 3, done()).await;

    let deleted = store.delete(new.id, at(4)).await.expect("deletes");

    assert_eq!(deleted, Deletion::Forgotten(Box::new(ended)));
    assert_eq!(store.job(new.id).await.expect("reads"), None);
    assert_eq!(store.request(new.id).await.expect("reads"), None);
    assert_eq!(store.answer(new.id).await.expect("reads"), None);
    assert_eq!(store.events(new.id, 0, 9).await.expect("reads"), None);
    assert_eq!(total(&store.counts()), 0);
    let again = store.delete(new.id, at(4)).await.expect("looks");
    assert_eq!(again, Deletion::Unknown);
    let fresh = NewJob {
        id: asking("a", 5).id,
        ..new
    };
    let accepted = store.accept(fresh).await.expect("accepts");
    assert!(matches!(accepted, Accepted::New { .. }), "{accepted:?}");
}

/// A waiting job is cancelled by it, a running one stays.
pub async fn a_queued_job_can_be_deleted_and_a_running_one_not(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    let waiting = asking("a", 2);
    accept(&*store, waiting.clone()).await;

    let kept = store.delete(job.id, at(3)).await.expect("looks");
    let gone = store.delete(waiting.id, at(3)).await.expect("deletes");

    assert_eq!(kept, Deletion::Running(Box::new(job.clone())));
    let was_cancelled =
        matches!(&gone, Deletion::Forgotten(job) if job.progress.state == JobState::Cancelled);
    assert!(was_cancelled, "{gone:?}");
    assert_eq!((store.counts().loading, total(&store.counts())), (1, 1));
    settle(&*store, &job, 4, retry(None)).await;
    assert_eq!(
        claim_any(&*store, 5).await.expect("is ready").job.id,
        job.id
    );
}

async fn accepted(store: &dyn QueueStore) -> [JobId; 5] {
    let new = [1, 2, 3, 4, 5].map(|time| asking("a", time));
    for job in &new {
        accept(store, job.clone()).await;
    }
    new.map(|job| job.id)
}

async fn list(
    store: &dyn QueueStore,
    filter: JobFilter,
    before: Option<i64>,
    limit: usize,
) -> Vec<JobId> {
    let list = store.list(filter, before, limit).await.expect("reads");
    let jobs = list.jobs;
    jobs.into_iter().map(|job| job.id).collect()
}
