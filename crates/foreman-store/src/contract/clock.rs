//! Promises about the passing of time and about recovery.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use std::sync::{Arc, Mutex};

use foreman_job::lifecycle::MAX_CRASHES;
use foreman_job::{FailureKind, JobState, QueueHeads, Timestamp};

use super::Subject;
use super::words::{
    accept, asking, at, claim_any, done, read, retry, running, running_in, settle, wish,
};
use crate::{ClaimRequest, Due, NewJob, QueueStore, Recovery};

const NEVER: Timestamp = at(i64::MAX);

/// By then every rest is over.
const RESTED: Timestamp = at(60_000);

/// Each thing happens at its time and the next one is announced.
pub async fn rests_end_and_jobs_expire_when_it_is_time(subject: &impl Subject) {
    let store = subject.open();
    let resting = running(&*store).await;
    settle(&*store, &resting, 3, retry(Some(50))).await;
    let expiring = NewJob {
        expires_at: Some(at(70)),
        ..asking("a", 4)
    };
    accept(&*store, expiring.clone()).await;

    let early = store.due(at(49)).await.expect("looks");
    assert_eq!(
        early,
        Due {
            next: Some(at(50)),
            ..Due::default()
        }
    );

    let rested = store.due(at(50)).await.expect("looks");
    assert_eq!((rested.promoted, rested.next), (1, Some(at(70))));
    assert_eq!(rested.expired, Vec::new());

    let expired = store.due(at(70)).await.expect("looks");
    let job = read(&*store, expiring.id).await;
    assert_eq!(job.progress.state, JobState::Failed);
    assert_eq!(
        job.failure.as_ref().map(|failure| failure.kind),
        Some(FailureKind::Expired)
    );
    assert_eq!(job.finished_at, Some(at(70)));
    assert_eq!(
        expired,
        Due {
            expired: vec![job],
            ..Due::default()
        }
    );
    assert_eq!((store.counts().queued, store.counts().failed), (1, 1));
}

/// The next moment is the earliest of all, and what has ended waits for none.
pub async fn the_next_moment_is_the_earliest(subject: &impl Subject) {
    let store = subject.open();
    for (rests, expires) in [(80, 90), (60, 70), (100, 110), (130, 120)] {
        let job = NewJob {
            expires_at: Some(at(expires)),
            ..asking("a", 1)
        };
        accept(&*store, job).await;
        let job = claim_any(&*store, 2).await.expect("is ready").job;
        settle(&*store, &job, 3, retry(Some(rests))).await;
    }
    let ended = NewJob {
        expires_at: Some(at(65)),
        ..asking("a", 1)
    };
    accept(&*store, ended).await;
    let job = claim_any(&*store, 2).await.expect("is ready").job;
    settle(&*store, &job, 3, done()).await;

    let mut moments = Vec::new();
    let mut now = 4;
    while let Some(next) = store.due(at(now)).await.expect("looks").next {
        now = next.as_millis();
        moments.push(now);
    }

    assert_eq!(moments, [60, 70, 80, 90, 100, 110, 120]);
}

/// A job that rests past its expiry is not made ready first.
pub async fn a_resting_job_expires_too(subject: &impl Subject) {
    let store = subject.open();
    let expiring = NewJob {
        expires_at: Some(at(40)),
        ..asking("a", 1)
    };
    accept(&*store, expiring).await;
    let job = claim_any(&*store, 2).await.expect("is ready").job;
    settle(&*store, &job, 3, retry(Some(30))).await;

    let due = store.due(at(60)).await.expect("looks");

    assert_eq!((due.promoted, due.expired.len(), due.next), (0, 1, None));
    assert_eq!(claim_any(&*store, 61).await, None);
}

/// Nothing to do, nothing to wait for.
pub async fn nothing_is_due_in_an_empty_queue(subject: &impl Subject) {
    let store = subject.open();
    accept(&*store, asking("a", 1)).await;

    assert_eq!(store.due(at(9)).await.expect("looks"), Due::default());
}

/// A crash costs a job its run and no attempt.
pub async fn recovery_queues_what_ran(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    store
        .start(job.seq, job.progress.epoch, at(3))
        .await
        .expect("starts");
    let waiting = accept(&*store, asking("b", 4)).await;

    let recovery = store.recover(at(5), NEVER).await.expect("recovers");

    let after = read(&*store, job.id).await;
    assert_eq!(after.progress.state, JobState::Queued);
    assert_eq!((after.progress.crashes, after.progress.attempt), (1, 0));
    assert_eq!(
        recovery,
        Recovery {
            jobs: vec![(JobState::Working, after)],
            queued: 2,
        }
    );
    let again = claim_any(&*store, 6).await.expect("is ready").job;
    assert_eq!(again.seq, job.seq);
    assert!(again.seq < waiting && again.progress.epoch > job.progress.epoch);
}

/// Whatever slot it ran in, and however far it had come.
pub async fn recovery_queues_what_ran_in_every_slot(subject: &impl Subject) {
    let store = subject.open();
    let (loading, working) = (running_in(&*store, 1).await, running_in(&*store, 2).await);
    let epoch = working.progress.epoch;
    store
        .start(working.seq, epoch, at(3))
        .await
        .expect("starts");

    let recovery = store.recover(at(5), NEVER).await.expect("recovers");

    let after = (
        read(&*store, loading.id).await,
        read(&*store, working.id).await,
    );
    assert_eq!(
        recovery.jobs,
        [(JobState::Loading, after.0), (JobState::Working, after.1)]
    );
    assert_eq!(store.counts().queued, 2);
}

/// Nobody wants it any more.
pub async fn recovery_cancels_what_was_asked_to_stop(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    store.cancel(job.id, at(3)).await.expect("cancels");

    let recovery = store.recover(at(5), NEVER).await.expect("recovers");

    let after = read(&*store, job.id).await;
    assert_eq!(after.progress.state, JobState::Cancelled);
    assert_eq!(after.finished_at, Some(at(5)));
    assert_eq!(recovery.jobs, vec![(JobState::Loading, after)]);
    assert_eq!(recovery.queued, 0);
}

/// A job that takes foreman down with it is not run for ever.
pub async fn recovery_fails_a_job_that_ran_at_three_crashes(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    for crashes in 1..MAX_CRASHES {
        store.recover(at(5), NEVER).await.expect("recovers");
        store.due(RESTED).await.expect("looks");
        let again = claim_any(&*store, 6).await.expect("is ready").job;
        assert_eq!(again.progress.crashes, crashes);
    }

    store.recover(at(7), NEVER).await.expect("recovers");

    let after = read(&*store, job.id).await;
    assert_eq!(after.progress.state, JobState::Failed);
    assert_eq!(
        after.failure.map(|failure| failure.kind),
        Some(FailureKind::Poison)
    );
    assert_eq!(claim_any(&*store, 8).await, None);
}

/// Who dies again and again, of whatever cause, does not blame the first in line for it.
pub async fn a_job_found_running_at_two_crashes_lets_others_go_first(subject: &impl Subject) {
    let store = subject.open();
    let first = accept(&*store, asking("a", 1)).await;
    let second = accept(&*store, asking("a", 2)).await;
    let mut found = Vec::new();

    for _ in 0..4 {
        let claimed = claim_any(&*store, 3).await.expect("is ready").job;
        found.push(claimed.seq);
        store.recover(at(5), NEVER).await.expect("recovers");
    }

    assert_eq!(found, [first, first, second, second]);
    assert_eq!(claim_any(&*store, 6).await, None);
    assert_eq!(store.due(RESTED).await.expect("looks").promoted, 2);
    assert!(claim_any(&*store, 7).await.is_some());
}

/// A clock that went back does not put jobs to sleep for years.
pub async fn recovery_bounds_the_rest_of_jobs(subject: &impl Subject) {
    let store = subject.open();
    let mut resting = Vec::new();
    for until in [20, 1_000_000] {
        let job = running(&*store).await;
        resting.push(settle(&*store, &job, 3, retry(Some(until))).await);
    }

    store.recover(at(5), at(30)).await.expect("recovers");

    let mut rests = Vec::new();
    for job in resting {
        rests.push(read(&*store, job.id).await.progress.retry_at);
    }
    assert_eq!(rests, [Some(at(20)), Some(at(30))]);
}

/// A recovery that was interrupted is simply done again.
pub async fn recovery_can_be_repeated(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    store.recover(at(5), NEVER).await.expect("recovers");
    let once = read(&*store, job.id).await;

    let recovery = store.recover(at(6), NEVER).await.expect("recovers");

    assert_eq!((recovery.jobs, recovery.queued), (Vec::new(), 1));
    assert_eq!(read(&*store, job.id).await, once);
}

/// A job with a time of its own waits for it, and is no retry.
pub async fn a_job_is_not_ready_before_its_time(subject: &impl Subject) {
    let store = subject.open();
    let later = NewJob {
        not_before: Some(at(50)),
        ..asking("a", 1)
    };
    let past = NewJob {
        not_before: Some(at(1)),
        ..asking("a", 2)
    };
    accept(&*store, later.clone()).await;
    accept(&*store, past.clone()).await;

    let first = claim_any(&*store, 60).await.expect("is ready").job;
    assert_eq!(first.id, past.id);
    settle(&*store, &first, 60, done()).await;
    assert_eq!(claim_any(&*store, 60).await, None);
    assert_eq!(store.due(at(49)).await.expect("looks").next, Some(at(50)));
    assert_eq!(store.due(at(50)).await.expect("looks").promoted, 1);
    let second = claim_any(&*store, 60).await.expect("is ready").job;
    assert_eq!((second.id, second.not_before), (later.id, Some(at(50))));
    assert_eq!(second.progress.attempt, 0);
}

/// The bound of rests is for retries; a caller may mean next week.
pub async fn recovery_leaves_a_chosen_time_alone(subject: &impl Subject) {
    let store = subject.open();
    let later = NewJob {
        not_before: Some(at(1_000_000)),
        ..asking("a", 1)
    };
    accept(&*store, later.clone()).await;

    store.recover(at(5), at(30)).await.expect("recovers");

    let job = read(&*store, later.id).await;
    assert_eq!(job.progress.retry_at, Some(at(1_000_000)));
}

/// A time that is past, or was past when the clock was ahead, bounds the rest of a job no more.
pub async fn recovery_bounds_a_rest_whatever_time_was_chosen(subject: &impl Subject) {
    let store = subject.open();
    let mut rests = Vec::new();
    for (not_before, until) in [(1_000, 40), (20, 1_000_000)] {
        let job = NewJob {
            not_before: Some(at(not_before)),
            ..asking("a", 1)
        };
        accept(&*store, job.clone()).await;
        store.due(at(not_before)).await.expect("time passes");
        let claimed = claim_any(&*store, 2).await.expect("is ready").job;
        settle(&*store, &claimed, 3, retry(Some(until))).await;
        store.recover(at(5), at(30)).await.expect("recovers");
        rests.push(read(&*store, job.id).await.progress.retry_at);
    }

    assert_eq!(rests, [Some(at(40)), Some(at(30))]);
}

/// A clock that went back between two lives puts nobody to sleep: what was accepted before is old.
pub async fn a_job_of_a_life_whose_clock_was_ahead_is_past_the_age_bound(subject: &impl Subject) {
    let store = subject.open();
    let ahead = accept(&*store, asking("a", 1_000_000)).await;
    accept(&*store, asking("b", 50)).await;

    let heads = seen_at_100(&*store).await;

    let aged: Vec<i64> = heads.aged.iter().map(|it| it.seq).collect();
    assert_eq!(aged, [ahead]);
    assert!(heads.oldest.created_at <= at(40));
}

/// A wish may wait a while for a job to come, and that one has not waited then.
pub async fn a_job_that_was_accepted_after_the_wish_is_not_past_the_age_bound(
    subject: &impl Subject,
) {
    let store = subject.open();
    accept(&*store, asking("a", 45_000)).await;

    let heads = seen_at_100(&*store).await;

    assert_eq!(heads.aged, []);
    assert_eq!(heads.oldest.created_at, at(100));
}

/// Returns what the policy sees at the time 100, with an age bound of 60, if it claims nothing.
async fn seen_at_100(store: &dyn QueueStore) -> QueueHeads {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let declined = ClaimRequest {
        aged_before: Some(at(40)),
        choose: Arc::new(move |heads: &QueueHeads| {
            sink.lock().expect("is whole").push(heads.clone());
            None
        }),
        ..wish(100)
    };
    store.claim(declined).await.expect("looks");
    let seen = seen.lock().expect("is whole").clone();
    seen.first().expect("the policy looked").clone()
}
