//! What a full disk does: new jobs are refused, running ones end.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::task::JoinSet;

use super::group::{all_sent, held};
use super::*;
use crate::{Purge, StoreError, StoreHealth};

const LONG: Duration = Duration::from_hours(1);

/// Accepts until there is no room; returns how many were accepted.
async fn fill(store: &SqliteStore) -> u64 {
    let mut accepted = 0;
    loop {
        match store.accept(job(100 + accepted, 50_000)).await {
            Ok(_) => accepted += 1,
            Err(StoreError::Full(_)) => return accepted,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_full_disk_closes_the_intake_and_lets_running_jobs_end() {
    let disk = OnDisk::default();
    let config = SqliteConfig {
        max_pages: Some(100),
        idle: LONG,
        ..disk.config()
    };
    let store = SqliteStore::open(&config).unwrap();
    accept(&store, 1).await;
    let claimed = store.claim(wish()).await.unwrap().unwrap();

    let accepted = fill(&store).await;

    let health = store.health().borrow().clone();
    assert!(
        matches!(health, StoreHealth::IntakeClosed { .. }),
        "{health:?}"
    );
    let refused = store.accept(job(2, 1)).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert!(accepted > 0);
    assert_eq!(store.counts().queued, accepted);
    store.settle(done(&claimed)).await.unwrap();
    assert!(store.answer(claimed.job.id).await.unwrap().is_some());
    drop(store);
    let again = SqliteStore::open(&disk.config()).unwrap();
    assert_eq!((again.counts().queued, again.counts().done), (accepted, 1));
}

#[tokio::test]
async fn the_reserve_is_given_up_when_the_disk_is_full_and_made_again_later() {
    let disk = OnDisk::default();
    let reserve = disk.dir.path().join("queue.db.reserve");
    let mut config = SqliteConfig {
        max_pages: Some(100),
        ballast: 8192,
        idle: LONG,
        ..disk.config()
    };
    let store = SqliteStore::open(&config).unwrap();
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 8192);

    fill(&store).await;
    assert!(!reserve.exists());
    drop(store);

    config.max_pages = None;
    let store = SqliteStore::open(&config).unwrap();
    assert!(reserve.exists());
    accept(&store, 2).await;
}

#[tokio::test]
async fn the_intake_opens_by_itself_when_there_is_room_again() {
    let disk = OnDisk::default();
    let free = Arc::new(AtomicU64::new(10_000_000));
    let probe = Arc::clone(&free);
    let config = SqliteConfig {
        reserve: 1_000_000,
        free_space: FreeSpace::new(move |_| Ok(probe.load(Ordering::SeqCst))),
        ..disk.config()
    };
    let store = SqliteStore::open(&config).unwrap();
    let mut health = store.health();
    accept(&store, 1).await;

    free.store(999_999, Ordering::SeqCst);
    health
        .wait_for(|health| matches!(health, StoreHealth::IntakeClosed { .. }))
        .await
        .unwrap();
    let refused = store.accept(job(2, 10)).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    let claimed = store.claim(wish()).await.unwrap().unwrap();
    store.settle(done(&claimed)).await.unwrap();

    free.store(10_000_000, Ordering::SeqCst);
    health
        .wait_for(|health| *health == StoreHealth::Ok)
        .await
        .unwrap();
    accept(&store, 2).await;
}

#[tokio::test]
async fn a_request_larger_than_the_room_does_not_close_the_intake() {
    let disk = OnDisk::default();
    let config = SqliteConfig {
        reserve: 1_000_000,
        free_space: FreeSpace::new(|_| Ok(1_050_000)),
        ..disk.config()
    };
    let store = SqliteStore::open(&config).unwrap();

    let refused = store.accept(job(1, 60_000)).await;

    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    accept(&store, 2).await;
    assert_eq!(*store.health().borrow(), StoreHealth::Ok);
}

#[tokio::test]
async fn a_job_that_finds_the_disk_full_before_its_request_is_written_is_told_so() {
    let disk = OnDisk::default();
    let config = SqliteConfig {
        max_pages: Some(100),
        idle: LONG,
        ..disk.config()
    };
    let store = SqliteStore::open(&config).unwrap();
    let large = NewJob {
        metadata: Some("x".repeat(600_000)),
        ..job(1, 1)
    };

    let refused = store.accept(large).await;

    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(store.counts().queued, 0);
}

#[tokio::test]
async fn a_purge_gives_free_room_back_to_the_disk_in_steps() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    store.accept(job(1, 3_000_000)).await.unwrap();
    let claimed = store.claim(wish()).await.unwrap().unwrap();
    store.settle(done(&claimed)).await.unwrap();
    let all = Purge {
        bodies_before: Timestamp::from_millis(100),
        jobs_before: Timestamp::from_millis(0),
        limit: 9,
    };
    let reader = Connection::open(disk.path()).unwrap();
    let pages = || -> i64 {
        let pages = reader.query_row("PRAGMA page_count", [], |row| row.get(0));
        pages.unwrap()
    };
    let full = pages();

    let mut given_back = Vec::new();
    for _ in 0..3 {
        store.purge(all).await.unwrap();
        given_back.push(full - pages());
    }

    assert_eq!(given_back, [200, 400, 600]);
}

#[tokio::test]
async fn a_request_that_finds_the_disk_full_does_not_take_its_group_with_it() {
    let disk = OnDisk::default();
    let config = SqliteConfig {
        max_pages: Some(100),
        idle: LONG,
        ..disk.config()
    };
    let store = Arc::new(SqliteStore::open(&config).unwrap());
    for number in 1..=2 {
        accept(&store, number).await;
    }
    let claimed = store.claim(wish()).await.unwrap().unwrap();
    let mut tasks = JoinSet::new();
    let mut accepting = JoinSet::new();

    let release = held(&mut tasks, &store, 1).await;
    for number in 10..30 {
        let store = Arc::clone(&store);
        accepting.spawn(async move { store.accept(job(number, 100_000)).await });
    }
    let settling = Arc::clone(&store);
    tasks.spawn(async move {
        settling.settle(done(&claimed)).await.unwrap();
    });
    all_sent().await;
    drop(release);

    for accepted in accepting.join_all().await {
        assert!(matches!(accepted, Err(StoreError::Full(_))), "{accepted:?}");
    }
    tasks.join_all().await;
    assert_eq!((store.counts().queued, store.counts().done), (1, 1));
}
