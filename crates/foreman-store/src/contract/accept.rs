//! Promises about acceptance.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use std::collections::BTreeSet;

use foreman_job::lifecycle::Progress;
use foreman_job::{Endpoint, JobId, Priority, RunnerKey};
use futures_like::join_all;

use super::Subject;
use super::words::{accept, answer, asking, at, claim_any, done, key, read, running, settle};
use crate::{Accepted, NewJob, StoreError, TakenId};

/// What a caller asked is what is read back.
pub async fn a_job_keeps_what_it_was_accepted_with(subject: &impl Subject) {
    let store = subject.open();
    let new = NewJob {
        endpoint: Endpoint::V1Messages,
        runner: RunnerKey::new("sha256:ab", "num_ctx=8192"),
        priority: Priority::Low,
        caller: None,
        expires_at: Some(at(99)),
        retry_of: Some(asking("a", 1).id),
        metadata: Some(r#"{"batch":7}"#.to_owned()),
        ..asking("Llama3", 5)
    };

    let seq = accept(&*store, new.clone()).await;

    let job = read(&*store, new.id).await;
    assert_eq!((job.seq, job.id, job.endpoint), (seq, new.id, new.endpoint));
    assert_eq!((job.model, job.runner), (new.model, new.runner));
    assert_eq!((job.priority, job.caller), (new.priority, new.caller));
    assert_eq!((job.created_at, job.expires_at), (at(5), Some(at(99))));
    assert_eq!(job.progress, Progress::accepted());
    assert_eq!((job.retry_of, job.metadata), (new.retry_of, new.metadata));
    assert_eq!(
        store.request(new.id).await.expect("reads"),
        Some(new.request)
    );
    assert_eq!(store.answer(new.id).await.expect("reads"), None);
    assert_eq!(store.counts().queued, 1);
}

/// Order is the order of acceptance, whatever the clock says.
pub async fn places_ascend_in_the_order_of_acceptance(subject: &impl Subject) {
    let store = subject.open();

    let mut places = Vec::new();
    for created_at in [50, 40, 60, 10] {
        places.push(accept(&*store, asking("a", created_at)).await);
    }

    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 4);
}

/// Many come in their order, and what is wrong with one is no matter of the others.
pub async fn many_are_accepted_in_their_order_each_for_itself(subject: &impl Subject) {
    let store = subject.open();
    let keyed = |body: u8, job: NewJob| NewJob {
        idempotency: Some(key("me", "k", body)),
        ..job
    };
    let taken = asking("a", 1);
    accept(&*store, taken.clone()).await;
    let jobs = vec![
        asking("a", 5),
        keyed(1, asking("b", 4)),
        keyed(1, asking("c", 3)),
        keyed(2, asking("d", 3)),
        NewJob {
            id: taken.id,
            ..asking("e", 2)
        },
        asking("f", 1),
        NewJob {
            max_queue: Some(1),
            ..asking("g", 1)
        },
    ];
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();

    let accepted = store.accept_all(jobs).await;

    let (outcomes, places) = told(accepted, ids.get(1).copied());
    assert_eq!(
        outcomes,
        [
            "new",
            "new",
            "existing",
            "other body",
            "taken",
            "new",
            "full"
        ]
    );
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(store.counts().queued, 4);
    assert_eq!(
        store.depths().iter().map(|depth| depth.jobs).sum::<u64>(),
        4
    );
    let first = claim_any(&*store, 6).await.expect("a job is ready").job;
    assert_eq!(first.id, taken.id);
}

/// Names what became of each job, and returns the places of the new ones.
fn told(
    accepted: Vec<Result<Accepted, StoreError>>,
    known: Option<JobId>,
) -> (Vec<&'static str>, Vec<i64>) {
    let mut places = Vec::new();
    let outcomes = accepted.into_iter().map(|outcome| match outcome {
        Ok(Accepted::New { seq }) => {
            places.push(seq);
            "new"
        }
        Ok(Accepted::Existing(job)) => {
            assert_eq!(Some(job.id), known);
            "existing"
        }
        Err(StoreError::IdempotencyMismatch) => "other body",
        Err(StoreError::Database(_)) => "taken",
        Err(StoreError::QueueFull { .. }) => "full",
        Err(other) => panic!("{other}"),
    });
    (outcomes.collect(), places)
}

/// A public name belongs to one job.
pub async fn an_id_is_not_given_twice(subject: &impl Subject) {
    let store = subject.open();
    let first = asking("a", 1);
    accept(&*store, first.clone()).await;
    let second = NewJob {
        id: first.id,
        ..asking("b", 2)
    };

    let refused = store.accept(second).await;

    let reason = match &refused {
        Err(StoreError::Database(source)) => source.downcast_ref(),
        _ => None,
    };
    assert_eq!(reason, Some(&TakenId(first.id)), "{refused:?}");
    assert_eq!(store.counts().queued, 1);
    assert_eq!(read(&*store, first.id).await.model, "a");
}

/// A repetition makes no second job.
pub async fn a_repeated_key_finds_the_first_job(subject: &impl Subject) {
    let store = subject.open();
    let first = NewJob {
        idempotency: Some(key("me /api/chat", "k", 1)),
        ..asking("a", 1)
    };
    let again = NewJob {
        idempotency: first.idempotency.clone(),
        ..asking("a", 2)
    };
    accept(&*store, first.clone()).await;

    let accepted = store.accept(again.clone()).await.expect("accepts");

    let known = read(&*store, first.id).await;
    assert_eq!(accepted, Accepted::Existing(Box::new(known)));
    assert_eq!(store.job(again.id).await.expect("reads"), None);
    assert_eq!(store.counts().queued, 1);
}

/// A repetition after the end finds the answer.
pub async fn a_repeated_key_finds_a_job_that_has_ended(subject: &impl Subject) {
    let store = subject.open();
    let first = NewJob {
        idempotency: Some(key("me", "k", 1)),
        ..asking("a", 1)
    };
    accept(&*store, first.clone()).await;
    let claimed = claim_any(&*store, 2).await.expect("is ready");
    let ended = settle(&*store, &claimed.job, 3, done()).await;

    let accepted = store.accept(first.clone()).await.expect("accepts");

    assert_eq!(accepted, Accepted::Existing(Box::new(ended)));
    assert_eq!(store.answer(first.id).await.expect("reads"), Some(answer()));
}

/// The same key for something else is a mistake of the caller's.
pub async fn a_key_with_another_body_is_refused(subject: &impl Subject) {
    let store = subject.open();
    for body in [1, 2] {
        let job = NewJob {
            idempotency: Some(key("me", "k", body)),
            ..asking("a", 1)
        };
        let accepted = store.accept(job).await;
        let mismatch = matches!(accepted, Err(StoreError::IdempotencyMismatch));
        assert_eq!(mismatch, body == 2, "{accepted:?}");
    }
    assert_eq!(store.counts().queued, 1);
}

/// Callers do not meet in each other's keys.
pub async fn the_same_key_of_another_scope_is_another_key(subject: &impl Subject) {
    let store = subject.open();
    for scope in ["me", "you"] {
        let job = NewJob {
            idempotency: Some(key(scope, "k", 1)),
            ..asking("a", 1)
        };
        let accepted = store.accept(job).await.expect("accepts");
        assert!(matches!(accepted, Accepted::New { .. }), "{scope}");
    }
}

/// A caller may have many keys.
pub async fn another_key_of_the_same_scope_makes_another_job(subject: &impl Subject) {
    let store = subject.open();
    for name in ["k", "l"] {
        let job = NewJob {
            idempotency: Some(key("me", name, 1)),
            ..asking("a", 1)
        };
        let accepted = store.accept(job).await.expect("accepts");
        assert!(matches!(accepted, Accepted::New { .. }), "{name}");
    }
    assert_eq!(store.counts().queued, 2);
}

/// The race between repetitions has one winner.
pub async fn fifty_at_once_with_one_key_make_one_job(subject: &impl Subject) {
    let store = subject.open();
    running(&*store).await;

    let mut places = BTreeSet::new();
    let mut made = 0;
    let racing = (0..50).map(|_| {
        store.accept(NewJob {
            idempotency: Some(key("me", "k", 1)),
            ..asking("a", 1)
        })
    });
    for accepted in join_all(racing).await {
        match accepted.expect("accepts") {
            Accepted::New { seq } => {
                made += 1;
                places.insert(seq);
            }
            Accepted::Existing(job) => {
                places.insert(job.seq);
            }
        }
    }

    assert_eq!((made, places.len()), (1, 1));
    assert_eq!(store.counts().queued, 1);
}

/// All futures at once, without another dependency.
mod futures_like {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::Poll;

    /// Polls all of them until all are ready.
    pub(super) async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
        let mut waiting: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
        let mut ready = Vec::new();
        std::future::poll_fn(|context| {
            waiting.retain_mut(|future| match future.as_mut().poll(context) {
                Poll::Ready(output) => {
                    ready.push(output);
                    false
                }
                Poll::Pending => true,
            });
            if waiting.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        ready
    }
}

/// So many wait, and not one more; a repetition of one that waits is none.
pub async fn no_more_wait_than_may(subject: &impl Subject) {
    let store = subject.open();
    let bounded = |time: i64, body: Option<u8>| NewJob {
        max_queue: Some(2),
        idempotency: body.map(|body| key("ann", "k", body)),
        ..asking("a", time)
    };
    store.accept(bounded(1, Some(7))).await.expect("accepts");
    store.accept(bounded(2, None)).await.expect("accepts");

    let refused = store.accept(bounded(3, None)).await;
    let repeated = store.accept(bounded(4, Some(7))).await.expect("finds");

    assert!(matches!(refused, Err(StoreError::QueueFull { waiting: 2 })));
    assert!(matches!(repeated, Accepted::Existing(_)));
    claim_any(&*store, 5).await.expect("one is ready");
    store.accept(bounded(6, None)).await.expect("accepts");
    assert_eq!((store.counts().queued, store.counts().loading), (2, 1));
}
