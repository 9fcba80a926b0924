//! Promises about claims.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use std::future::poll_fn;
use std::slice::from_ref;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use foreman_job::lifecycle::Epoch;
use foreman_job::{Choice, JobState, PickReason, Priority, QueueHeads, RunnerKey};

use super::words::{
    SLOT, accept, asking, at, choice, claim_any, done, drain, one_of_each_that_is_not_ready, read,
    retry, runner, running, settle, wish,
};
use super::{Subject, order};
use crate::{
    ClaimRequest, Foreseen, NewJob, Outcome, QueueStore, Settlement, SlotTaken, StoreError,
};

/// No job, no call of the policy.
pub async fn an_empty_queue_gives_nothing(subject: &impl Subject) {
    let store = subject.open();
    let never = ClaimRequest {
        choose: Arc::new(|heads: &QueueHeads| Some(choice(&heads.oldest, PickReason::Oldest))),
        ..wish(1)
    };

    assert_eq!(store.claim(never).await.expect("claims"), None);
}

/// A claim gives all that the run needs.
pub async fn a_claimed_job_loads_with_a_new_epoch_and_its_request(subject: &impl Subject) {
    let store = subject.open();
    let new = asking("a", 1);
    accept(&*store, new.clone()).await;

    let claimed = claim_any(&*store, 7).await.expect("a job is ready");

    assert_eq!(claimed.job.id, new.id);
    assert_eq!(claimed.job.progress.state, JobState::Loading);
    assert_eq!(claimed.job.progress.epoch, Epoch::new(1));
    assert_eq!(claimed.job.claimed_at, Some(at(7)));
    assert_eq!(claimed.reason, PickReason::Oldest);
    assert_eq!(claimed.request, Some(new.request));
    assert_eq!(read(&*store, new.id).await, claimed.job);
    assert_eq!((store.counts().queued, store.counts().loading), (0, 1));
}

/// What was foreseen is claimed, although the policy would choose another one by now.
pub async fn what_was_foreseen_is_claimed(subject: &impl Subject) {
    let store = subject.open();
    assert_eq!(store.foresee(&wish(2), &[]), None);
    let first = asking("a", 1);
    accept(&*store, first.clone()).await;
    let Some(foreseen) = store.foresee(&wish(2), &[]) else {
        // It would have to read for it.
        return;
    };
    let hasty = NewJob {
        priority: Priority::High,
        ..asking("a", 2)
    };
    accept(&*store, hasty).await;

    let claimed = store.claim(holding(foreseen.choice)).await.expect("claims");

    assert_eq!(claimed.as_ref().map(|it| it.job.id), Some(first.id));
    if let Some(mut said) = foreseen.claimed {
        said.job.claimed_at = claimed.as_ref().and_then(|it| it.job.claimed_at);
        assert_eq!(Some(said), claimed);
    }
}

/// What is about to be claimed is foreseen only once, and its run may end before the claim is
/// answered.
pub async fn who_was_foreseen_is_passed_over_next_time(subject: &impl Subject) {
    let store = subject.open();
    let jobs = [asking("a", 1), asking("a", 1), asking("b", 1)];
    for job in &jobs {
        accept(&*store, job.clone()).await;
    }
    let (mut passed, mut ends) = (Vec::new(), Vec::new());
    while let Some(Foreseen { choice, claimed }) = store.foresee(&wish(2), &passed) {
        let Some(said) = claimed else { return };
        passed.push(choice.seq);
        let settlement = Settlement {
            id: said.job.id,
            seq: None,
            epoch: said.job.progress.epoch,
            now: at(4),
            outcome: done(),
            log: None,
        };
        let (claim, end) = (store.claim(holding(choice)), store.settle(settlement));
        let mut run = Box::pin(async { tokio::join!(claim, end) });
        let first = poll_fn(|context| Poll::Ready(run.as_mut().poll(context))).await;
        ends.push((first, run));
    }

    assert_eq!(passed.len(), jobs.len());
    for (job, (first, run)) in jobs.iter().zip(ends) {
        let (claim, end) = match first {
            Poll::Ready(ended) => ended,
            Poll::Pending => run.await,
        };
        let claimed = claim.expect("claims");
        assert_eq!(claimed.map(|it| it.job.id), Some(job.id));
        assert_eq!(end.expect("ends").progress.state, JobState::Done);
    }
}

/// What was foreseen and waits no more is not claimed, nor anything else.
pub async fn what_was_foreseen_and_is_gone_is_not_claimed(subject: &impl Subject) {
    let store = subject.open();
    let (first, second) = (asking("a", 1), asking("a", 2));
    accept(&*store, first.clone()).await;
    accept(&*store, second.clone()).await;
    let Some(foreseen) = store.foresee(&wish(2), &[]) else {
        return;
    };
    store.cancel(first.id, at(2)).await.expect("is cancelled");

    let claimed = store.claim(holding(foreseen.choice)).await.expect("claims");

    assert_eq!(claimed, None);
    let next = store.foresee(&wish(2), &[]);
    let next = next.and_then(|it| it.claimed).map(|it| it.job.id);
    assert!(next.is_none_or(|next| next == second.id), "{next:?}");
}

/// A job that was claimed before is not named for who would begin it early.
pub async fn a_job_that_ran_before_is_not_named_early(subject: &impl Subject) {
    let store = subject.open();
    accept(&*store, asking("a", 1)).await;
    let claimed = claim_any(&*store, 2).await.expect("a job is ready");
    settle(&*store, &claimed.job, 3, Outcome::Released).await;

    let foreseen = store.foresee(&wish(4), &[]);

    assert_eq!(foreseen.and_then(|foreseen| foreseen.claimed), None);
}

fn holding(foreseen: Choice) -> ClaimRequest {
    ClaimRequest {
        foreseen: Some(foreseen),
        ..wish(3)
    }
}

/// The heads are of the best class only, and one for each resident runner that has one.
pub async fn the_policy_sees_the_heads_of_the_best_class(subject: &impl Subject) {
    let store = subject.open();
    let mut ids = Vec::new();
    for (model, priority) in [
        ("low", Priority::Low),
        ("a", Priority::Normal),
        ("b", Priority::Normal),
        ("b", Priority::Normal),
        ("c", Priority::Normal),
    ] {
        let job = NewJob {
            priority,
            ..asking(model, 1)
        };
        ids.push(accept(&*store, job).await);
    }

    let heads = heads(&*store, &["c", "b", "low", "away"]).await;

    let places: Vec<i64> = heads.resident.iter().map(|head| head.seq).collect();
    assert_eq!(Some(&heads.oldest.seq), ids.get(1));
    assert_eq!(heads.oldest.runner, runner("a"));
    assert_eq!(Some(&places), pick(&ids, [4, 2]).as_ref());
    assert!(
        heads
            .resident
            .iter()
            .all(|head| head.priority == Priority::Normal)
    );
}

/// A policy that names no job leaves the queue as it is.
pub async fn the_policy_may_decline(subject: &impl Subject) {
    let store = subject.open();
    accept(&*store, asking("a", 1)).await;
    let declined = ClaimRequest {
        choose: Arc::new(|_: &QueueHeads| None),
        ..wish(2)
    };

    assert_eq!(store.claim(declined).await.expect("claims"), None);
    assert_eq!(store.counts().queued, 1);
}

/// Within class and runner first come is first served, also for a policy that drains.
pub async fn jobs_of_one_class_and_runner_go_in_order(subject: &impl Subject) {
    let store = subject.open();
    for model in ["a", "b", "a", "b", "a"] {
        accept(&*store, asking(model, 1)).await;
    }

    let mut order = Vec::new();
    loop {
        let request = ClaimRequest {
            resident: vec![runner("b")],
            choose: drain(),
            ..wish(2)
        };
        let Some(claimed) = store.claim(request).await.expect("claims") else {
            break;
        };
        order.push((claimed.job.model.clone(), claimed.job.seq));
        settle(&*store, &claimed.job, 3, done()).await;
    }

    let models: String = order.iter().map(|(model, _)| model.as_str()).collect();
    assert_eq!(models, "bbaaa");
    for model in ["a", "b"] {
        let places = order.iter().filter(|(of, _)| of == model);
        assert!(places.map(|(_, seq)| *seq).is_sorted(), "{order:?}");
    }
}

/// A slot that is taken stays with its job.
pub async fn a_slot_runs_one_job(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    accept(&*store, asking("b", 2)).await;

    let refused = store.claim(wish(3)).await;

    let reason = match &refused {
        Err(StoreError::Database(source)) => source.downcast_ref(),
        _ => None,
    };
    assert_eq!(reason, Some(&SlotTaken(SLOT)), "{refused:?}");
    assert_eq!((store.counts().queued, store.counts().loading), (1, 1));
    assert_eq!(read(&*store, job.id).await, job);
}

/// Slots do not know of each other.
pub async fn slots_run_side_by_side(subject: &impl Subject) {
    let store = subject.open();
    running(&*store).await;
    accept(&*store, asking("b", 2)).await;
    let other = ClaimRequest {
        slot: SLOT + 1,
        ..wish(3)
    };

    let claimed = store.claim(other).await.expect("claims");

    assert_eq!(claimed.expect("a job is ready").job.model, "b");
    assert_eq!(store.counts().loading, 2);
}

/// A policy cannot name what it was not shown.
pub async fn a_job_that_is_not_ready_cannot_be_chosen(subject: &impl Subject) {
    let store = subject.open();
    let job = running(&*store).await;
    accept(&*store, asking("b", 2)).await;
    for (seq, there) in [(job.seq, true), (job.seq + 1000, false)] {
        let request = ClaimRequest {
            slot: SLOT + 1,
            choose: Arc::new(move |_: &QueueHeads| {
                Some(Choice {
                    seq,
                    reason: PickReason::Aged,
                })
            }),
            ..wish(3)
        };

        let refused = store.claim(request).await;

        let lost = matches!(refused, Err(StoreError::Lost(_)));
        let absent = matches!(refused, Err(StoreError::NotFound));
        assert_eq!((lost, absent), (there, !there), "{refused:?}");
    }
    assert_eq!((store.counts().queued, store.counts().loading), (1, 1));
}

/// What may not start now is not even looked at.
pub async fn a_resting_or_expired_job_is_at_no_head(subject: &impl Subject) {
    let store = subject.open();
    let resting = running(&*store).await;
    settle(&*store, &resting, 3, retry(Some(100))).await;
    let expiring = NewJob {
        expires_at: Some(at(50)),
        ..asking("a", 4)
    };
    accept(&*store, expiring).await;
    let last = accept(&*store, asking("a", 5)).await;

    let claimed = claim_any(&*store, 50).await.expect("a job is ready");

    assert_eq!(claimed.job.seq, last);
}

/// What runs, has ended or rests is not looked at, though it is older; the best class is looked at
/// first, though its jobs are newer.
pub async fn only_ready_jobs_of_the_best_class_are_at_the_heads(subject: &impl Subject) {
    let store = subject.open();
    for priority in [Priority::Low, Priority::Normal] {
        let kind = NewJob {
            priority,
            ..asking("a", 1)
        };
        one_of_each_that_is_not_ready(&*store, &kind).await;
    }
    let mut places = Vec::new();
    for priority in [Priority::Low, Priority::Normal] {
        let job = NewJob {
            priority,
            ..asking("a", 1)
        };
        places.push(accept(&*store, job).await);
    }
    let request = ClaimRequest {
        resident: vec![runner("a")],
        aged_before: Some(at(1)),
        ..wish(9)
    };

    let heads = order::heads(&*store, request).await;

    let heads = heads.expect("a job is ready");
    let seen = [Some(heads.oldest.seq), heads.overtaken];
    let seen: Option<Vec<i64>> = seen.into_iter().collect();
    assert_eq!(seen, pick(&places, [1, 0]));
    for others in [heads.resident, heads.callers, heads.aged] {
        assert_eq!(others, from_ref(&heads.oldest));
    }
}

/// The moment itself is too late, wherever the policy looks.
pub async fn a_job_is_at_the_heads_until_the_moment_it_expires(subject: &impl Subject) {
    let store = subject.open();
    let mut places = Vec::new();
    for (priority, expires_at) in [
        (Priority::Normal, Some(at(50))),
        (Priority::Low, Some(at(50))),
        (Priority::Normal, None),
        (Priority::Low, None),
    ] {
        let job = NewJob {
            priority,
            expires_at,
            ..asking("a", 1)
        };
        places.push(accept(&*store, job).await);
    }

    for (now, expected) in [(49, [0, 1]), (50, [2, 3])] {
        let request = ClaimRequest {
            resident: vec![runner("a")],
            aged_before: Some(at(40)),
            ..wish(now)
        };
        let heads = order::heads(&*store, request).await;
        let heads = heads.expect("a job is ready");
        let seen: Option<Vec<i64>> = [Some(heads.oldest.seq), heads.overtaken]
            .into_iter()
            .collect();

        assert_eq!(seen, pick(&places, expected));
        for others in [heads.resident, heads.callers, heads.aged] {
            assert_eq!(others, from_ref(&heads.oldest));
        }
    }
}

/// Looks at the heads without claiming.
async fn heads(store: &dyn QueueStore, resident: &[&str]) -> QueueHeads {
    let seen = Arc::new(Mutex::new(None));
    let request = ClaimRequest {
        resident: resident
            .iter()
            .map(|name| runner(name))
            .collect::<Vec<RunnerKey>>(),
        choose: {
            let seen = Arc::clone(&seen);
            Arc::new(move |heads: &QueueHeads| {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(heads.clone());
                None
            })
        },
        ..wish(2)
    };
    store.claim(request).await.expect("claims");
    let heads = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    heads.expect("a job is ready")
}

fn pick(from: &[i64], places: [usize; 2]) -> Option<Vec<i64>> {
    places
        .into_iter()
        .map(|place| from.get(place).copied())
        .collect()
}
