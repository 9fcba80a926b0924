//! The log has its room from the start.

use std::fs;

use super::*;

const ROOM: u64 = 1024 * 1024;

fn log_size(disk: &OnDisk) -> u64 {
    fs::metadata(disk.dir.path().join("queue.db-wal"))
        .unwrap()
        .len()
}

#[tokio::test]
async fn what_is_written_into_the_room_survives_a_crash_and_the_next_one_finds_room_again() {
    let disk = OnDisk::default();
    let config = SqliteConfig {
        log_room: ROOM,
        idle: Duration::from_hours(1),
        ..disk.config()
    };
    for life in 0..3 {
        let store = SqliteStore::open(&config).unwrap();
        assert_eq!(store.counts().queued, 10 * life);
        assert_eq!(log_size(&disk), ROOM);
        for number in 0..10 {
            accept(&store, 10 * life + number).await;
        }
        assert_eq!(log_size(&disk), ROOM, "nothing had to grow");
        // As a crash does.
        drop(store);
    }
    let store = SqliteStore::open(&disk.config()).unwrap();
    assert_eq!(store.counts().queued, 30);
    store.close().await.unwrap();
    assert!(!disk.dir.path().join("queue.db-wal").exists());
}

#[tokio::test]
async fn a_disk_that_has_not_that_much_keeps_what_it_has() {
    let disk = OnDisk::default();
    for (free, expected) in [(ROOM, true), (ROOM / 2, false)] {
        let config = SqliteConfig {
            log_room: ROOM,
            free_space: FreeSpace::new(move |_| Ok(free)),
            ..disk.config()
        };
        let store = SqliteStore::open(&config).unwrap();
        assert_eq!(log_size(&disk) == ROOM, expected);
        accept(&store, free).await;
        store.close().await.unwrap();
    }
}
