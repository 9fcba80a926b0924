//! Promises about what is kept, counted and forgotten.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use bytes::Bytes;
use foreman_job::{Job, JobId};

use super::Subject;
use super::words::{
    accept, answer, asking, at, claim_any, done, failed, key, read, retry, runner, running, settle,
    total,
};
use crate::{Accepted, JobFilter, NewJob, Outcome, Purge, Purged, QueueStore, StoreError};

/// Prompts go before the record that there was a job.
pub async fn a_purge_forgets_bodies_first_and_jobs_later(subject: &impl Subject) {
    let store = subject.open();
    let job = ended(&*store, 10).await;

    let spared = store.purge(purge(10, 10, 9)).await.expect("purges");
    assert_eq!(spared, Purged::default());
    assert_eq!(store.answer(job.id).await.expect("reads"), Some(answer()));

    let emptied = store.purge(purge(11, 10, 9)).await.expect("purges");
    assert_eq!(emptied, Purged { bodies: 1, jobs: 0 });
    assert_eq!(store.request(job.id).await.expect("reads"), None);
    assert_eq!(store.answer(job.id).await.expect("reads"), None);
    assert_eq!(read(&*store, job.id).await, job);

    let gone = store.purge(purge(11, 11, 9)).await.expect("purges");
    assert_eq!(gone, Purged { bodies: 0, jobs: 1 });
    assert_eq!(store.job(job.id).await.expect("reads"), None);
    assert_eq!(total(&store.counts()), 0);
}

/// Waiting and running jobs are never forgotten, however old.
pub async fn a_purge_spares_what_has_not_ended(subject: &impl Subject) {
    let store = subject.open();
    let resting = running(&*store).await;
    settle(&*store, &resting, 2, retry(Some(5))).await;
    let loading = running(&*store).await;

    let purged = store.purge(purge(i64::MAX, i64::MAX, 9)).await;

    assert_eq!(purged.expect("purges"), Purged::default());
    for id in [resting.id, loading.id] {
        assert!(store.request(id).await.expect("reads").is_some());
    }
}

/// One step is bounded, and the next one goes on where it ended.
pub async fn a_purge_goes_in_steps_the_oldest_first(subject: &impl Subject) {
    let store = subject.open();
    let mut ids: Vec<JobId> = Vec::new();
    for finished_at in [30, 10, 20] {
        ids.push(ended(&*store, finished_at).await.id);
    }

    let bodies = store.purge(purge(100, 0, 2)).await.expect("purges");
    assert_eq!(bodies, Purged { bodies: 2, jobs: 0 });
    assert_eq!(with_bodies(&*store, &ids).await, [true, false, false]);

    let jobs = store.purge(purge(100, 100, 1)).await.expect("purges");
    assert_eq!(jobs, Purged { bodies: 1, jobs: 1 });

    let rest = store.purge(purge(100, 100, 9)).await.expect("purges");
    assert_eq!(rest, Purged { bodies: 0, jobs: 2 });
    assert_eq!(total(&store.counts()), 0);
}

/// Only that a job has ended matters, not how.
pub async fn a_purge_forgets_jobs_however_they_ended(subject: &impl Subject) {
    let store = subject.open();
    for outcome in [done(), failed(None), Outcome::Cancelled] {
        let job = running(&*store).await;
        settle(&*store, &job, 3, outcome).await;
    }

    let purged = store.purge(purge(0, 9, 9)).await.expect("purges");

    assert_eq!(purged, Purged { bodies: 0, jobs: 3 });
    assert_eq!(total(&store.counts()), 0);
}

/// Jobs that ended in the same moment are purged one after the other, none of them twice, and
/// those that are not yet purged have all that is theirs.
pub async fn a_purge_takes_from_each_job_once(subject: &impl Subject) {
    let store = subject.open();
    let mut ids: Vec<JobId> = Vec::new();
    for finished_at in [10, 10, 10, 20] {
        ids.push(ended(&*store, finished_at).await.id);
    }

    for purged in 1..=4 {
        let emptied = store.purge(purge(100, 0, 1)).await.expect("purges");
        assert_eq!(emptied, Purged { bodies: 1, jobs: 0 });
        for (number, id) in (1..).zip(&ids) {
            let left = (number > purged).then(answer);
            assert_eq!(store.answer(*id).await.expect("reads"), left);
        }
        let kept = with_bodies(&*store, &ids).await;
        assert!(
            (1..)
                .zip(kept)
                .all(|(number, kept)| kept == (number > purged))
        );
    }
    let nothing = store.purge(purge(100, 0, 9)).await.expect("purges");
    assert_eq!(nothing, Purged::default());
    for left in (0..4).rev() {
        let gone = store.purge(purge(100, 100, 1)).await.expect("purges");
        assert_eq!(gone, Purged { bodies: 0, jobs: 1 });
        let list = store.list(JobFilter::default(), None, 9).await;
        let jobs = list.expect("reads").jobs.into_iter();
        let newest: Vec<JobId> = jobs.map(|job| job.id).collect();
        assert!(newest.iter().eq(ids.iter().rev().take(left)));
    }
}

/// Who is forgotten takes nothing of those with it that ended in the same moment.
pub async fn a_purge_finds_the_bodies_of_those_that_are_left(subject: &impl Subject) {
    let store = subject.open();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ended(&*store, 10).await.id);
    }

    let jobs = store.purge(purge(0, 100, 1)).await.expect("purges");
    let second = ids.get(1).expect("three jobs");
    store.delete(*second, at(20)).await.expect("deletes");
    let bodies = store.purge(purge(100, 0, 9)).await.expect("purges");

    assert_eq!(jobs, Purged { bodies: 0, jobs: 1 });
    assert_eq!(bodies, Purged { bodies: 1, jobs: 0 });
    assert_eq!(with_bodies(&*store, &ids).await, [false, false, false]);
}

/// What is forgotten blocks nothing.
pub async fn a_key_is_free_again_after_its_job_was_purged(subject: &impl Subject) {
    let store = subject.open();
    let new = NewJob {
        idempotency: Some(key("me", "k", 1)),
        ..asking("a", 1)
    };
    let first = accept(&*store, new.clone()).await;
    let job = claim_any(&*store, 2).await.expect("is ready").job;
    settle(&*store, &job, 3, done()).await;
    store.purge(purge(9, 9, 9)).await.expect("purges");

    let accepted = store.accept(new).await.expect("accepts");

    assert!(
        matches!(accepted, Accepted::New { seq } if seq > first),
        "{accepted:?}"
    );
}

/// The last value counts.
pub async fn notes_are_kept_and_replaced(subject: &impl Subject) {
    let store = subject.open();
    assert_eq!(store.note("inventory").await.expect("reads"), None);

    for value in [&b"one"[..], b"", b"three"] {
        let value = Bytes::from_static(value);
        store
            .save_note("inventory", value.clone())
            .await
            .expect("saves");
        assert_eq!(store.note("inventory").await.expect("reads"), Some(value));
    }
    assert_eq!(store.note("other").await.expect("reads"), None);
}

/// Nothing is lost and nothing comes from nowhere.
pub async fn counts_add_up_to_what_was_accepted(subject: &impl Subject) {
    let store = subject.open();
    let mut accepted = 0;
    for outcome in [
        done(),
        failed(None),
        retry(Some(1000)),
        Outcome::Cancelled,
        Outcome::Released,
    ] {
        let job = running(&*store).await;
        accepted += 1;
        assert_eq!(total(&store.counts()), accepted);
        settle(&*store, &job, 3, outcome).await;
        assert_eq!(total(&store.counts()), accepted);
    }

    let counts = store.counts();
    assert_eq!((counts.queued, counts.done), (2, 1));
    assert_eq!((counts.failed, counts.cancelled), (1, 1));
}

/// Jobs in back-off wait too; those that run or have ended do not.
pub async fn the_oldest_waiting_job_is_known(subject: &impl Subject) {
    let store = subject.open();
    assert_eq!(store.oldest_queued().await.expect("reads"), None);
    accept(&*store, asking("a", 30)).await;
    let job = claim_any(&*store, 40).await.expect("is ready").job;
    accept(&*store, asking("a", 50)).await;

    assert_eq!(store.oldest_queued().await.expect("reads"), Some(at(50)));
    settle(&*store, &job, 60, retry(Some(99))).await;
    assert_eq!(store.oldest_queued().await.expect("reads"), Some(at(30)));
}

/// A job that rests is not ready.
pub async fn a_ready_job_of_a_runner_is_known(subject: &impl Subject) {
    let store = subject.open();
    let expiring = NewJob {
        expires_at: Some(at(99)),
        ..asking("a", 1)
    };
    accept(&*store, expiring).await;
    assert!(store.has_ready(&runner("a")).await.expect("reads"));
    assert!(!store.has_ready(&runner("b")).await.expect("reads"));

    let job = claim_any(&*store, 2).await.expect("is ready").job;
    assert!(!store.has_ready(&runner("a")).await.expect("reads"));

    settle(&*store, &job, 3, retry(Some(9))).await;
    assert!(!store.has_ready(&runner("a")).await.expect("reads"));
    store.due(at(9)).await.expect("looks");
    assert!(store.has_ready(&runner("a")).await.expect("reads"));
}

/// Nothing is done behind the back of who closed it.
pub async fn a_closed_store_says_so(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;

    store.close().await.expect("closes");

    let refused = [
        store.accept(asking("a", 1)).await.err(),
        store.due(at(9)).await.err(),
        store.job(job.id).await.err(),
        store.cancel(job.id, at(9)).await.err(),
        store.close().await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StoreError::Closed)), "{error:?}");
    }
}

async fn ended(store: &dyn QueueStore, finished_at: i64) -> Job {
    let job = running(store).await;
    settle(store, &job, finished_at, done()).await
}

async fn with_bodies(store: &dyn QueueStore, ids: &[JobId]) -> Vec<bool> {
    let mut kept = Vec::new();
    for id in ids {
        kept.push(store.request(*id).await.expect("reads").is_some());
    }
    kept
}

const fn purge(bodies_before: i64, jobs_before: i64, limit: u32) -> Purge {
    Purge {
        bodies_before: at(bodies_before),
        jobs_before: at(jobs_before),
        limit,
    }
}
