//! The counts follow every change, back and forth.

use std::convert::Infallible;
use std::sync::Arc;

use foreman_job::{Endpoint, Priority, RunnerKey, Timestamp};

use super::*;
use crate::StoredRequest;

const NOW: Timestamp = Timestamp::from_millis(100);

const SIGHT: Sight<'static> = Sight {
    now: NOW,
    passed: &[],
};

fn group(model: &str, caller: Option<&str>) -> Arc<Group> {
    Arc::new(Group {
        model: model.to_owned(),
        runner: RunnerKey::new("r", ""),
        priority: Priority::Normal,
        caller: caller.map(str::to_owned),
    })
}

fn spot(seq: i64) -> Spot {
    Spot {
        seq,
        created_at: Timestamp::from_millis(seq),
        expires_at: None,
    }
}

fn ready(seq: i64) -> Member {
    Member {
        spot: spot(seq),
        is_ready: true,
    }
}

/// The first of the runner; lines of which it is not known are asked for by their models.
fn first(depths: &Depths) -> (Option<i64>, Vec<String>) {
    let mut asked = Vec::new();
    let mut find = |group: &Arc<Group>| {
        asked.push(group.model.clone());
        Ok::<_, Infallible>(None)
    };
    let key = RunnerKey::new("r", "");
    let runner = depths.runner(Priority::Normal, &key);
    let Some(Ok(head)) = runner.map(|runner| runner.first(SIGHT, &mut find)) else {
        return (None, asked);
    };
    (head.map(|head| head.spot.seq), asked)
}

#[test]
fn the_first_of_a_runner_is_that_of_its_lines_whoever_comes_and_leaves() {
    let (a, b) = (group("a", None), group("b", Some("ann")));
    let mut depths = Depths::default();
    let mut seen = Vec::new();
    for change in [
        Move::In(Arc::clone(&a), ready(1)),
        Move::In(Arc::clone(&b), ready(2)),
        Move::In(Arc::clone(&a), ready(3)),
        Move::Out(Arc::clone(&a), ready(1), Some(spot(3))),
        Move::Out(Arc::clone(&b), ready(2), None),
        Move::In(Arc::clone(&a), ready(1)),
        Move::Out(Arc::clone(&a), ready(3), None),
        Move::Out(Arc::clone(&a), ready(1), None),
    ] {
        depths.apply(&change);
        seen.push(first(&depths).0);
    }

    let firsts = [1, 1, 1, 2, 3, 1, 1];
    assert_eq!(seen[..7], firsts.map(Some));
    assert_eq!(seen[7], None);
    assert!(depths.list().is_empty());
}

#[test]
fn a_change_that_is_undone_leaves_the_counts_as_they_were() {
    let (a, b) = (group("a", None), group("b", None));
    let resting = Member {
        is_ready: false,
        ..ready(4)
    };
    let mut depths = Depths::default();
    for change in [
        Move::In(Arc::clone(&a), ready(2)),
        Move::In(Arc::clone(&a), ready(3)),
        Move::In(Arc::clone(&a), resting),
    ] {
        depths.apply(&change);
    }
    let before = depths.list();
    for change in [
        Move::In(Arc::clone(&b), ready(5)),
        Move::In(Arc::clone(&a), ready(1)),
        Move::Out(Arc::clone(&a), ready(2), Some(spot(3))),
        Move::Out(Arc::clone(&a), resting, None),
        Move::Woken(Arc::clone(&a), 1, spot(4)),
    ] {
        depths.apply(&change);
        depths.undo(&change);
        assert_eq!(depths.list(), before, "{change:?}");
        let unknown = depths.take_unknown();
        // Who is first is looked up where it may be another one now.
        for group in unknown {
            assert_eq!(first(&depths), (None, vec!["a".to_owned()]), "{change:?}");
            depths.find(&group, Some(spot(2)));
        }
        assert_eq!(first(&depths), (Some(2), Vec::new()), "{change:?}");
    }
}

#[test]
fn where_the_first_is_not_known_nobody_is_taken_for_it_when_another_leaves() {
    let a = group("a", None);
    let mut depths = Depths::default();
    for seq in [5, 7, 9] {
        depths.apply(&Move::In(Arc::clone(&a), ready(seq)));
    }
    let older = Move::In(Arc::clone(&a), ready(3));
    depths.apply(&older);
    depths.undo(&older);

    assert_eq!(depths.next(&a, ready(7)), First::Unknown);
    depths.find(&a, Some(spot(5)));
    assert_eq!(depths.next(&a, ready(7)), First::Nobody);
    assert_eq!(depths.next(&a, ready(5)), First::At(spot(7)));
}

#[test]
fn after_a_first_one_that_has_expired_the_next_is_known_or_looked_for() {
    let a = group("a", None);
    let mut depths = Depths::default();
    let expired = Member {
        spot: Spot {
            expires_at: Some(NOW),
            ..spot(1)
        },
        is_ready: true,
    };
    depths.apply(&Move::In(Arc::clone(&a), expired));
    depths.apply(&Move::In(Arc::clone(&a), ready(2)));
    assert_eq!(first(&depths), (Some(2), Vec::new()));

    // Of those that were there before, only the first is known.
    let mut depths = Depths::after(2);
    depths.add_ready(&a, 2, expired.spot);
    assert_eq!(first(&depths), (None, vec!["a".to_owned()]));
}

fn new_job(group: &Group) -> NewJob {
    NewJob {
        id: "01J9Z3N6T5Q8W0V2X4Y6Z8A0B2".parse().unwrap(),
        endpoint: Endpoint::Chat,
        model: group.model.clone(),
        runner: group.runner.clone(),
        priority: group.priority,
        caller: group.caller.clone(),
        created_at: NOW,
        not_before: None,
        expires_at: None,
        request: StoredRequest::default(),
        idempotency: None,
        max_queue: None,
        retry_of: None,
        metadata: None,
    }
}

#[test]
fn jobs_that_were_there_at_the_start_are_before_all_that_come() {
    let a = group("a", Some("ann"));
    let mut depths = Depths::after(10);
    depths.add_ready(&a, 4, spot(3));
    depths.apply(&Move::In(Arc::clone(&a), ready(11)));
    let job = |seq| new_job(&a).to_job(seq);

    let sketch = depths.sketch(&[job(11), job(7)], NOW);

    let older = vec![(Some("ann".to_owned()), 4)];
    assert_eq!(sketch.standings.older, [Some(older), None]);
    assert_eq!(sketch.old.len(), 1);
    assert_eq!(sketch.old[0].lines, [(a, 5)]);
}
