//! Promises across restarts. A crash is a store that is dropped and never closed.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use bytes::Bytes;
use foreman_job::lifecycle::MAX_CRASHES;
use foreman_job::{JobState, Priority, RunnerKey, Timestamp};

use super::Subject;
use super::words::{
    accept, answer, asking, at, claim_any, done, key, one_of_each_that_is_not_ready, read, retry,
    running, settle, settlement, total,
};
use crate::{Accepted, NewJob, Purge, StoreError};

const NEVER: Timestamp = at(i64::MAX);

/// By then every rest is over.
const RESTED: Timestamp = at(60_000);

/// Whoever got any answer can find the job.
pub async fn what_was_accepted_is_there_after_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let new = asking("a", 1);
    accept(&*store, new.clone()).await;
    let before = read(&*store, new.id).await;
    drop(store);

    let store = subject.open();

    assert_eq!(read(&*store, new.id).await, before);
    assert_eq!(
        store.request(new.id).await.expect("reads"),
        Some(new.request)
    );
    assert_eq!(store.counts().queued, 1);
}

/// The answer and the end are there together.
pub async fn what_was_settled_is_there_after_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    let ended = settle(&*store, &job, 3, done()).await;
    drop(store);

    let store = subject.open();
    let recovery = store.recover(at(4), NEVER).await.expect("recovers");

    assert_eq!(recovery.jobs, Vec::new());
    assert_eq!(read(&*store, job.id).await, ended);
    assert_eq!(store.answer(job.id).await.expect("reads"), Some(answer()));
}

/// What ran is run again.
pub async fn what_ran_is_found_after_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    store
        .start(job.seq, job.progress.epoch, at(3))
        .await
        .expect("starts");
    drop(store);

    let store = subject.open();
    assert_eq!(store.counts().working, 1);
    let recovery = store.recover(at(4), NEVER).await.expect("recovers");

    let after = read(&*store, job.id).await;
    assert_eq!(after.progress.state, JobState::Queued);
    assert_eq!(recovery.jobs, vec![(JobState::Working, after)]);
    assert!(claim_any(&*store, 5).await.is_some());
}

/// A run of the last life has nothing to say any more.
pub async fn an_epoch_from_before_a_crash_is_lost(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    drop(store);

    let store = subject.open();
    store.recover(at(4), NEVER).await.expect("recovers");
    let again = claim_any(&*store, 5).await.expect("is ready").job;
    let settled = store
        .settle(settlement(&job, job.progress.epoch, 6, done()))
        .await;

    assert!(again.progress.epoch > job.progress.epoch);
    assert!(matches!(settled, Err(StoreError::Lost(_))), "{settled:?}");
}

/// A caller that lost its connection in the crash comes back to its job.
pub async fn a_key_finds_its_job_after_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let new = NewJob {
        idempotency: Some(key("me", "k", 1)),
        ..asking("a", 1)
    };
    let seq = accept(&*store, new.clone()).await;
    drop(store);

    let store = subject.open();
    let accepted = store.accept(new).await.expect("accepts");

    assert!(
        matches!(&accepted, Accepted::Existing(job) if job.seq == seq),
        "{accepted:?}"
    );
}

/// What was cancelled is not run again.
pub async fn a_wish_to_cancel_survives_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    store.cancel(job.id, at(3)).await.expect("cancels");
    drop(store);

    let store = subject.open();
    store.recover(at(4), NEVER).await.expect("recovers");

    let state = read(&*store, job.id).await.progress.state;
    assert_eq!(state, JobState::Cancelled);
}

/// A rest neither starts anew nor is skipped.
pub async fn a_rest_survives_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    let resting = settle(&*store, &job, 3, retry(Some(50))).await;
    drop(store);

    let store = subject.open();
    store.recover(at(4), NEVER).await.expect("recovers");

    assert_eq!(read(&*store, job.id).await, resting);
    assert_eq!(store.due(at(49)).await.expect("looks").next, Some(at(50)));
    assert_eq!(store.due(at(50)).await.expect("looks").promoted, 1);
}

/// A job that takes foreman down with it is not run for ever.
pub async fn crashes_are_counted_across_lives(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    drop(store);
    for crashes in 1..=MAX_CRASHES {
        let store = subject.open();
        store.recover(at(4), NEVER).await.expect("recovers");
        let after = read(&*store, job.id).await.progress;
        assert_eq!(after.crashes, crashes);
        assert_eq!(after.state.is_terminal(), crashes == MAX_CRASHES);
        store.due(RESTED).await.expect("looks");
        claim_any(&*store, 5).await;
    }
}

/// What costs nothing to read is right from the start.
pub async fn notes_and_counts_survive(subject: &impl Subject) {
    let store = subject.open();
    for outcome in [done(), retry(Some(9))] {
        let job = running(&*store).await;
        settle(&*store, &job, 3, outcome).await;
    }
    running(&*store).await;
    store
        .save_note("inventory", Bytes::from_static(b"models"))
        .await
        .expect("saves");
    let before = store.counts();
    drop(store);

    let store = subject.open();

    assert_eq!((store.counts(), total(&before)), (before, 3));
    let note = store.note("inventory").await.expect("reads");
    assert_eq!(note, Some(Bytes::from_static(b"models")));
}

/// Jobs are counted by what they have in common as before, those that rest included.
pub async fn depths_survive(subject: &impl Subject) {
    let store = subject.open();
    let spelled = NewJob {
        model: "A".to_owned(),
        ..asking("a", 1)
    };
    let urgent = NewJob {
        priority: Priority::High,
        ..asking("a", 1)
    };
    let unnamed = NewJob {
        caller: None,
        ..asking("a", 1)
    };
    let optioned = NewJob {
        runner: RunnerKey::new("a", "num_ctx=8192"),
        ..asking("a", 1)
    };
    let plain = [asking("a", 1), asking("b", 1)];
    for kind in [spelled, urgent, unnamed, optioned]
        .into_iter()
        .chain(plain)
    {
        one_of_each_that_is_not_ready(&*store, &kind).await;
        for id in [kind.id, asking("a", 1).id] {
            let job = NewJob { id, ..kind.clone() };
            accept(&*store, job).await;
        }
    }
    let before = store.depths();
    drop(store);

    let store = subject.open();

    assert_eq!(before.iter().map(|depth| depth.jobs).sum::<u64>(), 18);
    assert_eq!(store.depths(), before);
}

/// A clean end is as good as a crash.
pub async fn a_closed_store_opens_again(subject: &impl Subject) {
    let store = subject.open();
    let new = asking("a", 1);
    accept(&*store, new.clone()).await;
    store.close().await.expect("closes");

    let again = subject.open();

    assert_eq!(
        again.request(new.id).await.expect("reads"),
        Some(new.request)
    );
    assert!(claim_any(&*again, 2).await.is_some());
}

/// A cursor never meets two jobs at one place.
pub async fn a_place_is_never_given_twice(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    settle(&*store, &job, 3, done()).await;
    let all = Purge {
        bodies_before: at(9),
        jobs_before: at(9),
        limit: 9,
    };
    store.purge(all).await.expect("purges");
    drop(store);

    let store = subject.open();

    assert!(accept(&*store, asking("a", 4)).await > job.seq);
}

/// What was forgotten stays so, with its bodies.
pub async fn what_was_deleted_or_purged_stays_gone_after_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let purged = running(&*store).await;
    settle(&*store, &purged, 3, done()).await;
    let deleted = asking("a", 1);
    accept(&*store, deleted.clone()).await;
    store.delete(deleted.id, at(4)).await.expect("deletes");
    let all = Purge {
        bodies_before: at(9),
        jobs_before: at(9),
        limit: 9,
    };
    store.purge(all).await.expect("purges");
    drop(store);

    let store = subject.open();

    for id in [purged.id, deleted.id] {
        assert_eq!(store.job(id).await.expect("reads"), None);
        assert_eq!(store.request(id).await.expect("reads"), None);
        assert_eq!(store.answer(id).await.expect("reads"), None);
    }
    assert_eq!(total(&store.counts()), 0);
}

/// What time did to the queue is not done again.
pub async fn what_became_due_stays_so_after_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let resting = running(&*store).await;
    settle(&*store, &resting, 3, retry(Some(50))).await;
    let expiring = NewJob {
        expires_at: Some(at(40)),
        ..asking("a", 4)
    };
    accept(&*store, expiring.clone()).await;
    store.due(at(50)).await.expect("looks");
    let rested = read(&*store, resting.id).await;
    let expired = read(&*store, expiring.id).await;
    drop(store);

    let store = subject.open();
    let due = store.due(at(60)).await.expect("looks");

    assert_eq!((due.promoted, due.expired), (0, Vec::new()));
    for job in [rested, expired] {
        assert_eq!(read(&*store, job.id).await, job);
    }
}

/// Whoever was told that a job is cancelled never sees it run.
pub async fn a_cancelled_job_stays_so_after_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let new = asking("a", 1);
    accept(&*store, new.clone()).await;
    store.cancel(new.id, at(2)).await.expect("cancels");
    drop(store);

    let store = subject.open();
    store.recover(at(4), NEVER).await.expect("recovers");

    let state = read(&*store, new.id).await.progress.state;
    assert_eq!(state, JobState::Cancelled);
    assert_eq!(claim_any(&*store, 5).await, None);
}
