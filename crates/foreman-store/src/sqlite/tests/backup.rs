//! Copies of a database: whole, private, and a queue that runs on.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use foreman_job::JobState;
use tokio::task::JoinSet;

use super::*;
use crate::{Backup, BackupError, Existing, backup};

/// Copies on a thread of its own, as another program would.
fn copying(disk: &OnDisk, to: PathBuf) -> JoinSet<Result<Backup, BackupError>> {
    let from = disk.path();
    let mut copying = JoinSet::new();
    copying.spawn_blocking(move || backup(&from, &to, Existing::Keep));
    copying
}

fn names(disk: &OnDisk) -> Vec<String> {
    let entries = fs::read_dir(disk.dir.path()).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn a_copy_that_is_made_under_load_is_a_queue_that_runs_on() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    for number in 0..50 {
        store.accept(job(number, 5_000)).await.unwrap();
    }
    let running = store.claim(wish()).await.unwrap().unwrap();
    let restored = OnDisk::default();

    let mut copying = copying(&disk, restored.path());
    let mut number = 50;
    while copying.try_join_next().is_none_or(|made| {
        assert!(made.unwrap().unwrap().jobs >= 50);
        false
    }) {
        store.accept(job(number, 5_000)).await.unwrap();
        number += 1;
    }
    store.settle(done(&running)).await.unwrap();
    store.close().await.unwrap();

    let copy = restored.open_store();
    let now = Timestamp::from_millis(5);
    let recovery = copy.recover(now, now).await.unwrap();
    assert_eq!(recovery.jobs.len(), 1, "what ran then runs again");
    assert_eq!(recovery.jobs[0].1.id, running.job.id);
    let mut ran = 0;
    while let Some(claimed) = copy.claim(wish()).await.unwrap() {
        let job = copy.settle(done(&claimed)).await.unwrap();
        assert_eq!(job.progress.state, JobState::Done);
        ran += 1;
    }
    assert!(ran >= 50);
    copy.close().await.unwrap();
}

#[tokio::test]
async fn a_copy_needs_no_owner_and_is_private() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    store.close().await.unwrap();
    let to = disk.dir.path().join("copy.db");

    let made = backup(&disk.path(), &to, Existing::Keep).unwrap();

    let meta = fs::metadata(&to).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert_eq!((made.jobs, made.bytes), (1, meta.len()));
    let left = names(&disk);
    assert!(
        !left
            .iter()
            .any(|name| name.starts_with("copy.db") && name != "copy.db")
    );
}

#[tokio::test]
async fn a_file_that_is_there_is_left_unless_it_is_to_be_replaced() {
    let disk = OnDisk::default();
    accept(&disk.open_store(), 1).await;
    let to = disk.dir.path().join("copy.db");
    fs::write(&to, "precious").unwrap();

    let kept = backup(&disk.path(), &to, Existing::Keep).unwrap_err();
    assert!(matches!(kept, BackupError::Exists { .. }));
    assert_eq!(fs::read(&to).unwrap(), b"precious");

    backup(&disk.path(), &to, Existing::Replace).unwrap();
    assert!(fs::read(&to).unwrap().starts_with(b"SQLite format 3"));
}

#[tokio::test]
async fn what_is_no_database_of_foreman_is_not_copied_and_the_database_not_overwritten() {
    let disk = OnDisk::default();
    let to = disk.dir.path().join("copy.db");
    let other = disk.dir.path().join("other.db");
    fs::write(&other, "x".repeat(4096)).unwrap();

    let missing = backup(&disk.path(), &to, Existing::Keep).unwrap_err();
    let foreign = backup(&other, &to, Existing::Keep).unwrap_err();
    accept(&disk.open_store(), 1).await;
    let itself = backup(&disk.path(), &disk.path(), Existing::Replace).unwrap_err();

    assert!(matches!(missing, BackupError::NoDatabase { .. }));
    assert!(matches!(foreign, BackupError::Foreign { .. }));
    assert!(matches!(itself, BackupError::Itself { .. }));
    assert!(!names(&disk).iter().any(|name| name.starts_with("copy.db")));
    accept(&disk.open_store(), 2).await;
}

#[tokio::test]
async fn what_a_killed_backup_left_is_no_obstacle() {
    let disk = OnDisk::default();
    accept(&disk.open_store(), 1).await;
    let to = disk.dir.path().join("copy.db");
    fs::write(disk.dir.path().join("copy.db.partial"), "half").unwrap();

    assert_eq!(backup(&disk.path(), &to, Existing::Keep).unwrap().jobs, 1);
}
