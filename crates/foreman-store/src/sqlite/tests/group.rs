//! The writer commits in groups.

use std::sync::mpsc;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;
use crate::{Accepted, StoreError};

/// As much as a group takes before it is closed.
const LARGE: usize = 4 * 1024 * 1024;

/// Keeps the writer busy with a claim for a free slot until the sender is dropped.
///
/// Returns when the writer is: nothing that is sent later shares the transaction of the claim.
pub(super) async fn held(
    tasks: &mut JoinSet<()>,
    store: &Arc<SqliteStore>,
    slot: u32,
) -> mpsc::Sender<()> {
    let (release, gate) = mpsc::channel();
    let gate = std::sync::Mutex::new(gate);
    let busy = Arc::new(Notify::new());
    let entered = Arc::clone(&busy);
    let store = Arc::clone(store);
    tasks.spawn(async move {
        let request = ClaimRequest {
            slot,
            choose: Arc::new(move |_: &QueueHeads| {
                entered.notify_one();
                let _released = gate.lock().unwrap().recv();
                None
            }),
            ..wish()
        };
        store.claim(request).await.unwrap();
    });
    busy.notified().await;
    release
}

/// Lets all tasks of this thread send what they have to send.
pub(super) async fn all_sent() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_place_that_nobody_got_is_given_to_the_next() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;

    let taken = store.accept(job(1, 10)).await;
    let together = store.accept_all(vec![job(2, 10), job(1, 10), job(3, 10)]);
    let together = together.await;
    let next = store.accept(job(4, 10)).await;

    assert!(matches!(taken, Err(StoreError::Database(_))), "{taken:?}");
    let places = together.into_iter().chain([next]).map(|accepted| {
        let Ok(Accepted::New { seq }) = accepted else {
            return None;
        };
        Some(seq)
    });
    assert!(places.eq([Some(2), None, Some(3), Some(4)]));
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    accept(&store, 1).await;
    let before = store.stats();
    let mut tasks = JoinSet::new();

    let release = held(&mut tasks, &store, 0).await;
    for number in 2..=101 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { accept(&store, number).await });
    }
    all_sent().await;
    drop(release);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }

    let after = store.stats();
    assert_eq!(after.commands - before.commands, 101);
    assert!(after.commits - before.commits <= 3, "{after:?}");
    assert_eq!(store.counts().queued, 101);
}

#[tokio::test]
async fn a_refused_command_leaves_its_group_alone() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    accept(&store, 1).await;
    let mut tasks = JoinSet::new();
    let mut accepting = JoinSet::new();

    let release = held(&mut tasks, &store, 0).await;
    for number in [2, 1, 3, 2, 4] {
        let store = Arc::clone(&store);
        accepting.spawn(async move { (number, store.accept(job(number, 10)).await) });
    }
    all_sent().await;
    drop(release);

    let mut taken = Vec::new();
    let mut refused = Vec::new();
    for (number, accepted) in accepting.join_all().await {
        match accepted {
            Ok(Accepted::New { .. }) => taken.push(number),
            Err(StoreError::Database(_)) => refused.push(number),
            other => panic!("{other:?}"),
        }
    }
    taken.sort_unstable();
    refused.sort_unstable();
    assert_eq!((taken, refused), (vec![2, 3, 4], vec![1, 2]));
    assert_eq!(store.counts().queued, 4);
    assert!(store.stats().largest_group >= 5);
    tasks.join_all().await;
}

#[tokio::test]
async fn who_is_first_is_known_after_a_group_was_begun_anew() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    for number in 1..=3 {
        accept(&store, number).await;
    }
    let mut running = Vec::new();
    for slot in [1, 2] {
        let request = ClaimRequest { slot, ..wish() };
        running.push(store.claim(request).await.unwrap().unwrap());
    }
    let [first, second] = running.as_slice() else {
        panic!("two jobs run");
    };
    let queued_again = Settlement {
        outcome: Outcome::Released,
        ..done(first)
    };
    let with_a_gap = Settlement {
        log: Some(RunLog {
            first: 9,
            events: Vec::new(),
        }),
        ..done(second)
    };
    let mut tasks = JoinSet::new();
    let mut settling = JoinSet::new();

    let release = held(&mut tasks, &store, 0).await;
    for settlement in [queued_again, with_a_gap] {
        let store = Arc::clone(&store);
        settling.spawn(async move { store.settle(settlement).await.is_ok() });
    }
    all_sent().await;
    drop(release);
    tasks.join_all().await;
    let mut settled = settling.join_all().await;
    settled.sort_unstable();

    assert_eq!(settled, [false, true]);
    // They go with the one that was held.
    assert_eq!(store.stats().largest_group, 3);
    let next = store.claim(wish()).await.unwrap().unwrap();
    assert_eq!(next.job.id, first.job.id);
}

#[tokio::test]
async fn what_is_large_shares_no_transaction() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    let mut running = Vec::new();
    for slot in 1..=4 {
        accept(&store, slot.into()).await;
        let request = ClaimRequest { slot, ..wish() };
        running.push(store.claim(request).await.unwrap().unwrap());
    }
    accept(&store, 5).await;
    let mut tasks = JoinSet::new();

    let release = held(&mut tasks, &store, 0).await;
    for (number, claimed) in (10..).zip(running) {
        let settlement = Settlement {
            log: Some(RunLog {
                first: claimed.next_event,
                events: vec![LogEvent::Chunk(vec![b'x'; LARGE].into())],
            }),
            ..done(&claimed)
        };
        let store = Arc::clone(&store);
        match number {
            10 | 11 => tasks.spawn(async move {
                store.settle(settlement).await.unwrap();
            }),
            _ => tasks.spawn(async move {
                let log = settlement.log.unwrap();
                let epoch = settlement.epoch;
                let appended = store.append_events(claimed.job.seq, epoch, log).await;
                appended.unwrap();
            }),
        };
    }
    for number in 20..22 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            store.accept(job(number, LARGE)).await.unwrap();
        });
    }
    all_sent().await;
    drop(release);
    tasks.join_all().await;

    assert_eq!(store.stats().largest_group, 1);
}

#[tokio::test]
async fn claims_and_starts_do_not_wait_for_the_disk() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    let accepted = store.stats().synced_commits;

    let claimed = store.claim(wish()).await.unwrap().unwrap();
    let job = &claimed.job;
    store
        .start(job.seq, job.progress.epoch, Timestamp::from_millis(3))
        .await
        .unwrap();
    assert_eq!(store.stats().synced_commits, accepted);

    store.settle(done(&claimed)).await.unwrap();
    assert_eq!(store.stats().synced_commits, accepted + 1);
    assert!(store.stats().wal_bytes > 0);
}

#[tokio::test]
async fn what_was_sent_before_the_end_is_written() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    accept(&store, 1).await;
    let mut tasks = JoinSet::new();

    let release = held(&mut tasks, &store, 0).await;
    for number in 2..=11 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { accept(&store, number).await });
    }
    all_sent().await;
    drop(release);
    store.close().await.unwrap();
    tasks.join_all().await;

    assert_eq!(disk.open_store().counts().queued, 11);
}

#[tokio::test]
async fn a_caller_that_left_tears_nothing() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    accept(&store, 1).await;
    let mut tasks = JoinSet::new();
    let mut leaving = JoinSet::new();

    let release = held(&mut tasks, &store, 0).await;
    let sending = Arc::clone(&store);
    leaving.spawn(async move { accept(&sending, 2).await });
    all_sent().await;
    leaving.shutdown().await;
    drop(release);
    accept(&store, 3).await;

    let left = store.request(job(2, 10).id).await.unwrap();
    assert_eq!(left, Some(job(2, 10).request));
    assert_eq!(store.counts().queued, 3);
    tasks.join_all().await;
}
