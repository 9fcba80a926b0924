//! Promises about the places of jobs among those that may go first.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use foreman_job::{JobId, Priority};

use super::Subject;
use super::words::{
    accept, asking, at, claim_any, claim_at, done, one_of_each_that_is_not_ready, read, retry,
    settle,
};
use crate::{ByCaller, NewJob, QueueStore};

use Priority::{High, Low, Normal};

/// Neither newer jobs nor those of another class or runner are before a job, nor what runs or has
/// ended, also of a caller who has some that are.
pub async fn only_older_jobs_of_its_class_and_runner_are_before_a_job(subject: &impl Subject) {
    let store = subject.open();
    accept_older(&*store).await;
    let it = accept_of(&*store, "a", Normal, Some("ann")).await;
    accept_newer(&*store).await;

    assert_eq!(before(&*store, it).await, older());
}

/// The same holds while others rest, and for those that once were older.
pub async fn what_ran_ended_or_rests_is_before_no_job(subject: &impl Subject) {
    let store = subject.open();
    accept_older(&*store).await;
    let named = NewJob {
        caller: Some("ann".to_owned()),
        ..asking("a", 1)
    };
    one_of_each_that_is_not_ready(&*store, &named).await;
    let it = accept_of(&*store, "a", Normal, Some("ann")).await;
    accept_newer(&*store).await;

    assert_eq!(before(&*store, it).await, older());
}

/// A job that rests is before none, though it is older.
pub async fn a_resting_job_is_before_no_other(subject: &impl Subject) {
    let store = subject.open();
    for _ in 0..3 {
        accept_of(&*store, "a", Normal, Some("ann")).await;
    }
    let it = accept_of(&*store, "a", Normal, Some("ann")).await;
    let first = claim_any(&*store, 2).await.expect("a job is ready").job;
    assert_eq!(before(&*store, it).await, callers(&[(Some("ann"), 2)]));

    settle(&*store, &first, 3, retry(Some(1000))).await;

    assert_eq!(before(&*store, it).await, callers(&[(Some("ann"), 2)]));
    let resting = read(&*store, first.id).await;
    let place = store.standing(&resting, at(3)).await.expect("reads");
    assert_eq!(place, None);
    store.due(at(1000)).await.expect("time passes");
    assert_eq!(before(&*store, it).await, callers(&[(Some("ann"), 3)]));
}

/// The oldest job of each runner that could start now is told, of the job's own class only.
pub async fn a_job_sees_the_oldest_of_each_runner_of_its_class(subject: &impl Subject) {
    let store = subject.open();
    let expiring = NewJob {
        expires_at: Some(at(50)),
        ..asking("c", 1)
    };
    accept(&*store, expiring).await;
    let mut ids = Vec::new();
    for (model, class) in [
        ("b", High),
        ("b", Normal),
        ("a", Low),
        ("c", Normal),
        ("b", Normal),
        ("a", Normal),
    ] {
        ids.push(accept_of(&*store, model, class, None).await);
    }
    let (mut seen, mut places) = (Vec::new(), Vec::new());

    for id in &ids {
        let job = read(&*store, *id).await;
        places.push(job.seq);
        let alone = store.standing(&job, at(50)).await.expect("reads");
        let alone = alone.expect("it is ready").runners;
        let together = store.standings(&[job], at(50)).await.expect("reads");
        assert_eq!(together.runners.len(), 1);
        for heads in together.runners.values() {
            assert!(heads.iter().eq(alone.iter()), "{heads:?}");
        }
        seen.push(alone.iter().map(|it| it.seq).collect::<Vec<i64>>());
    }

    let of = |numbers: &[usize]| -> Vec<i64> {
        let places = numbers.iter().filter_map(|number| places.get(*number));
        places.copied().collect()
    };
    let [high, normal, low] = [of(&[0]), of(&[1, 3, 5]), of(&[2])];
    let expected = [&high, &normal, &low, &normal, &normal, &normal];
    assert!(seen.iter().eq(expected), "{seen:?}");
}

/// Accepts jobs of which those in [`older`] are before one of `a` and `Normal`.
async fn accept_older(store: &dyn QueueStore) {
    for (model, class, caller) in [
        ("a", Normal, Some("ann")),
        ("a", Normal, Some("ann")),
        ("a", High, Some("ann")),
        ("b", Normal, Some("ann")),
        ("a", Normal, None),
        ("a", Normal, None),
        ("a", Normal, Some("bob")),
    ] {
        accept_of(store, model, class, caller).await;
    }
}

fn older() -> ByCaller {
    callers(&[(None, 2), (Some("ann"), 2), (Some("bob"), 1)])
}

/// Accepts jobs like those before, of which one has ended and one runs.
async fn accept_newer(store: &dyn QueueStore) {
    for (model, class, caller) in [
        ("b", Normal, Some("ann")),
        ("a", Low, Some("ann")),
        ("a", Normal, Some("bob")),
        ("a", Normal, Some("zoe")),
        ("a", Normal, None),
        ("a", High, None),
    ] {
        accept_of(store, model, class, caller).await;
    }
    for outcome in [Some(done()), None] {
        let last = accept_of(store, "a", Normal, Some("ann")).await;
        let last = claim_at(store, read(store, last).await.seq).await;
        if let Some(outcome) = outcome {
            settle(store, &last, 3, outcome).await;
        }
    }
}

async fn accept_of(
    store: &dyn QueueStore,
    model: &str,
    priority: Priority,
    caller: Option<&str>,
) -> JobId {
    let job = NewJob {
        priority,
        caller: caller.map(str::to_owned),
        ..asking(model, 1)
    };
    let id = job.id;
    accept(store, job).await;
    id
}

/// Who has jobs before a job, which is the same whether it is asked about alone or with others.
async fn before(store: &dyn QueueStore, id: JobId) -> ByCaller {
    let job = read(store, id).await;
    let alone = store.standing(&job, at(3)).await.expect("reads");
    let alone = alone.expect("it is ready").older;
    let together = store.standings(&[job], at(3)).await.expect("reads");
    assert_eq!(together.older, [Some(alone.clone())]);
    alone
}

fn callers(groups: &[(Option<&str>, u64)]) -> ByCaller {
    let groups = groups.iter();
    groups
        .map(|(caller, jobs)| (caller.map(str::to_owned), *jobs))
        .collect()
}
