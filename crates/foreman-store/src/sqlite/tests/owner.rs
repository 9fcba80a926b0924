//! One owner, and files that only it can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_second_owner_is_told_who_the_first_is() {
    let disk = OnDisk::default();
    let config = SqliteConfig {
        owner: "listening on 127.0.0.1:11434".to_owned(),
        opened_at: Some(Timestamp::from_millis(0)),
        ..disk.config()
    };
    let first = SqliteStore::open(&config).unwrap();

    let refused = SqliteStore::open(&disk.config()).unwrap_err().to_string();

    let pid = std::process::id();
    assert!(
        refused.contains(&format!(
            "(pid {pid}, listening on 127.0.0.1:11434, since 1970-01-01T00:00:00.000Z)"
        )),
        "{refused}"
    );
    accept(&first, 1).await;
}

#[test]
fn a_lock_file_that_a_dead_process_left_is_no_obstacle() {
    let disk = OnDisk::default();
    fs::write(
        disk.dir.path().join("queue.db.lock"),
        "pid 812, long gone and verbose",
    )
    .unwrap();

    let store = disk.open_store();

    let text = fs::read_to_string(disk.dir.path().join("queue.db.lock")).unwrap();
    assert_eq!(text, format!("pid {}\n", std::process::id()));
    drop(store);
}

#[tokio::test]
async fn the_database_is_free_as_soon_as_it_is_closed_or_dropped() {
    let disk = OnDisk::default();
    let first = disk.open_store();
    first.close().await.unwrap();
    let second = disk.open_store();
    drop(second);

    accept(&disk.open_store(), 1).await;
    drop(first);
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let disk = OnDisk::default();
    let dir = disk.dir.path().join("new/state");
    let config = SqliteConfig {
        path: dir.join("queue.db"),
        ballast: 4096,
        ..disk.config()
    };
    let store = SqliteStore::open(&config).unwrap();
    accept(&store, 1).await;

    let mut seen = Vec::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }

    seen.sort();
    assert_eq!(
        seen,
        [
            "queue.db",
            "queue.db-shm",
            "queue.db-wal",
            "queue.db.lock",
            "queue.db.reserve"
        ]
    );
    assert_eq!(mode(&dir), 0o700);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let disk = OnDisk::default();
    fs::write(disk.dir.path().join("file"), "").unwrap();
    let config = SqliteConfig::new(disk.dir.path().join("file/queue.db"));

    let refused = SqliteStore::open(&config).unwrap_err();

    assert!(matches!(refused, OpenError::File { .. }), "{refused:?}");
    assert!(refused.to_string().contains("file/queue.db"), "{refused}");
}
