//! Promises about what the policy is shown, and about what is told of the queue.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use std::slice::from_ref;
use std::sync::{Arc, Mutex, PoisonError};

use foreman_job::{Priority, QueueHeads};

use super::Subject;
use super::words::{accept, asking, at, claim_any, done, read, retry, runner, settle, wish};
use crate::{ClaimRequest, Depth, NewJob, QueueStore, Used};

/// Of the runner that goes on, the oldest jobs of the callers that have used least are shown.
pub async fn the_policy_sees_the_callers_whose_turn_it_is(subject: &impl Subject) {
    let store = subject.open();
    let mut places = Vec::new();
    for (model, caller) in [
        ("b", Some("ann")),
        ("a", Some("bob")),
        ("a", None),
        ("a", Some("ann")),
        ("a", Some("bob")),
        ("a", None),
    ] {
        places.push(accept(&*store, of(caller, asking(model, 1))).await);
    }
    let mut seen = Vec::new();

    for used in [[0.0, 0.0, 0.0], [1.0, 0.5, 0.5], [1.0, 2.0, 3.0]] {
        let wish = |wish| ClaimRequest {
            used: usage(used),
            ..wish
        };
        let drained = heads(&*store, wish(resident("a"))).await;
        let begun = heads(&*store, wish(super::words::wish(2))).await;
        for heads in [drained, begun] {
            let heads = heads.expect("jobs are ready");
            let most = used.into_iter().fold(0.0, f64::max);
            assert!((heads.most_used - most).abs() < f64::EPSILON);
            assert_eq!((heads.aged, heads.overtaken), (Vec::new(), None));
            seen.push(heads.callers.iter().map(|it| it.seq).collect::<Vec<i64>>());
        }
    }

    let expected = [&[2, 3, 1][..], &[0], &[3, 1], &[0], &[2], &[0]];
    let expected = expected.map(|wanted| pick(&places, wanted));
    assert_eq!(seen.into_iter().map(Some).collect::<Vec<_>>(), expected);
}

/// A caller whose jobs all rest has no turn.
pub async fn a_caller_whose_jobs_rest_is_passed_over(subject: &impl Subject) {
    let store = subject.open();
    let scheduled = NewJob {
        not_before: Some(at(1000)),
        ..of(Some("ann"), asking("a", 1))
    };
    accept(&*store, scheduled).await;
    let ready = accept(&*store, of(Some("bob"), asking("a", 1))).await;
    let wish = ClaimRequest {
        used: usage([0.0, 1.0, 2.0]),
        ..resident("a")
    };

    let heads = heads(&*store, wish).await.expect("a job is ready");

    let callers: Vec<i64> = heads.callers.iter().map(|it| it.seq).collect();
    assert_eq!(callers, [ready]);
}

/// Past the age bound the oldest jobs of the callers that have used least are shown, whatever
/// their runners.
pub async fn the_policy_sees_the_aged_jobs_of_callers(subject: &impl Subject) {
    let store = subject.open();
    let mut places = Vec::new();
    for (model, caller, created_at) in [
        ("b", Some("ann"), 10),
        ("c", None, 20),
        ("a", Some("ann"), 30),
        ("a", Some("bob"), 50),
    ] {
        places.push(accept(&*store, of(caller, asking(model, created_at))).await);
    }
    let mut seen = Vec::new();

    for (before, used) in [
        (9, [0.0; 3]),
        (10, [0.0; 3]),
        (40, [0.0; 3]),
        (50, [0.0; 3]),
        (40, [1.0, 2.0, 0.0]),
        (50, [1.0, 2.0, 0.0]),
    ] {
        let request = ClaimRequest {
            aged_before: Some(at(before)),
            used: usage(used),
            now: at(100),
            ..resident("a")
        };
        let heads = heads(&*store, request).await.expect("jobs are ready");
        seen.push(heads.aged.iter().map(|it| it.seq).collect::<Vec<i64>>());
    }

    let expected = [&[][..], &[0], &[1, 0], &[1, 0, 3], &[1], &[3]];
    let expected = expected.map(|wanted| pick(&places, wanted));
    assert_eq!(seen.into_iter().map(Some).collect::<Vec<_>>(), expected);
}

/// The oldest job of the lower classes is known, so that it can be told when it was passed over.
pub async fn the_policy_sees_what_the_best_class_overtakes(subject: &impl Subject) {
    let store = subject.open();
    let mut places = Vec::new();
    for priority in [
        Priority::Low,
        Priority::Normal,
        Priority::High,
        Priority::Low,
    ] {
        let job = NewJob {
            priority,
            ..asking("a", 1)
        };
        places.push(accept(&*store, job).await);
    }

    let heads = heads(&*store, wish(2)).await.expect("jobs are ready");

    assert_eq!(Some(&heads.oldest.seq), places.get(2));
    assert_eq!(heads.overtaken.as_ref(), places.first());
}

/// Jobs of a paused runner are as if they were not there, whatever its load options.
pub async fn jobs_of_a_paused_runner_are_at_no_head(subject: &impl Subject) {
    let store = subject.open();
    let high = NewJob {
        priority: Priority::High,
        runner: foreman_job::RunnerKey::new("a", "num_ctx=8192"),
        ..asking("a", 1)
    };
    accept(&*store, high).await;
    accept(&*store, of(Some("ann"), asking("a", 2))).await;
    let b = accept(&*store, of(Some("ann"), asking("b", 3))).await;
    let low = NewJob {
        priority: Priority::Low,
        ..asking("a", 1)
    };
    accept(&*store, low).await;
    let paused = |weights: &[&str]| ClaimRequest {
        paused: weights.iter().map(|it| (*it).to_owned()).collect(),
        aged_before: Some(at(100)),
        ..resident("a")
    };

    let open = heads(&*store, paused(&["a", "z"])).await;

    let open = open.expect("a job is ready");
    assert_eq!((open.oldest.seq, open.overtaken), (b, None));
    assert_eq!(open.resident, Vec::new());
    assert_eq!(open.callers, from_ref(&open.oldest));
    assert_eq!(open.aged, from_ref(&open.oldest));
    assert_eq!(heads(&*store, paused(&["a", "b"])).await, None);
}

/// The queue is counted by what its jobs have in common, those that rest included.
pub async fn depths_follow_every_way_in_and_out(subject: &impl Subject) {
    let store = subject.open();
    for caller in [Some("ann"), Some("bob"), Some("ann")] {
        accept(&*store, of(caller, asking("a", 1))).await;
    }
    let scheduled = NewJob {
        not_before: Some(at(1000)),
        ..of(None, asking("b", 1))
    };
    accept(&*store, scheduled.clone()).await;
    let full = counted(&*store);
    let first = claim_any(&*store, 2).await.expect("a job is ready").job;
    let running = counted(&*store);
    let first = settle(&*store, &first, 3, retry(Some(50))).await;
    let resting = counted(&*store);
    store.due(at(50)).await.expect("time passes");
    let again = claim_any(&*store, 51).await.expect("a job is ready").job;
    settle(&*store, &again, 52, done()).await;
    store.cancel(scheduled.id, at(53)).await.expect("cancels");

    let both = [("a", "ann", 2), ("a", "bob", 1), ("b", "", 1)];
    assert_eq!(full, named(&both));
    assert_eq!(
        running,
        named(&[("a", "ann", 1), ("a", "bob", 1), ("b", "", 1)])
    );
    assert_eq!(resting, named(&both));
    assert_eq!(again.id, first.id);
    assert_eq!(counted(&*store), named(&[("a", "ann", 1), ("a", "bob", 1)]));
}

/// A ready job's place among its like, and the oldest of each runner, are told.
pub async fn a_ready_job_stands_behind_the_older_ones_of_each_caller(subject: &impl Subject) {
    let store = subject.open();
    let mut ids = Vec::new();
    for (model, caller) in [("b", "ann"), ("a", "ann"), ("a", "bob"), ("a", "ann")] {
        let job = of(Some(caller), asking(model, 1));
        ids.push(job.id);
        accept(&*store, job).await;
    }
    let last = read(&*store, *ids.last().expect("four jobs")).await;
    let running = claim_any(&*store, 2).await.expect("a job is ready").job;

    let standing = store.standing(&last, at(3)).await.expect("reads");
    let of_running = store.standing(&running, at(3)).await.expect("reads");

    let standing = standing.expect("it is ready");
    let both = [(Some("ann".to_owned()), 1), (Some("bob".to_owned()), 1)];
    assert_eq!(standing.older, both);
    assert_eq!(
        (standing.older_of(Some("ann")), standing.older_of(None)),
        (1, 0)
    );
    let runners: Vec<_> = standing.runners.into_iter().map(|it| it.runner).collect();
    assert_eq!(runners, [runner("a")]);
    assert_eq!(of_running, None);
}

/// Whether others rest or not, places are the same when they are read together.
pub async fn several_jobs_stand_where_each_of_them_does(subject: &impl Subject) {
    let store = subject.open();
    let mut ids = Vec::new();
    for (model, caller) in [("b", "ann"), ("a", "ann"), ("a", "bob"), ("a", "ann")] {
        let job = of(Some(caller), asking(model, 1));
        ids.push(job.id);
        accept(&*store, job).await;
    }
    for rests in [false, true] {
        if rests {
            let later = NewJob {
                not_before: Some(at(1_000_000)),
                ..of(Some("ann"), asking("a", 1))
            };
            ids.push(later.id);
            accept(&*store, later).await;
        }
        let mut jobs = Vec::new();
        let mut each = Vec::new();
        for id in &ids {
            let job = read(&*store, *id).await;
            each.push(store.standing(&job, at(3)).await.expect("reads"));
            jobs.push(job);
        }

        let together = store.standings(&jobs, at(3)).await.expect("reads");

        let heads = each.iter().flatten().map(|one| &one.runners);
        let class = together.runners.get(&Priority::Normal).map(|it| &**it);
        assert!(heads.into_iter().all(|heads| Some(heads) == class));
        let older: Vec<_> = each
            .into_iter()
            .map(|one| one.map(|one| one.older))
            .collect();
        assert_eq!(together.older, older);
    }
}

fn of(caller: Option<&str>, job: NewJob) -> NewJob {
    NewJob {
        caller: caller.map(str::to_owned),
        ..job
    }
}

fn resident(model: &str) -> ClaimRequest {
    ClaimRequest {
        resident: vec![runner(model)],
        ..wish(2)
    }
}

/// What nobody, `ann` and `bob` have used.
fn usage([unnamed, ann, bob]: [f64; 3]) -> Used {
    Arc::new(move |caller| match caller {
        None => unnamed,
        Some("ann") => ann,
        Some(_) => bob,
    })
}

fn counted(store: &dyn QueueStore) -> Vec<Depth> {
    store.depths()
}

fn named(groups: &[(&str, &str, u64)]) -> Vec<Depth> {
    groups
        .iter()
        .map(|(model, caller, jobs)| Depth {
            model: (*model).to_owned(),
            runner: runner(model),
            priority: Priority::Normal,
            caller: (!caller.is_empty()).then(|| (*caller).to_owned()),
            jobs: *jobs,
        })
        .collect()
}

/// Looks at the heads without claiming.
pub(super) async fn heads(store: &dyn QueueStore, wish: ClaimRequest) -> Option<QueueHeads> {
    let seen = Arc::new(Mutex::new(None));
    let request = ClaimRequest {
        choose: {
            let seen = Arc::clone(&seen);
            Arc::new(move |heads: &QueueHeads| {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(heads.clone());
                None
            })
        },
        ..wish
    };
    store.claim(request).await.expect("claims");
    seen.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn pick(from: &[i64], places: &[usize]) -> Option<Vec<i64>> {
    places
        .iter()
        .map(|place| from.get(*place).copied())
        .collect()
}
