//! What is done when the file or the writer is not what it should be.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use super::*;
use crate::{JobFilter, Purge, StoreError, StoreHealth};

/// Overwrites the head of a page.
fn damage(disk: &OnDisk, page: u64) {
    let mut file = OpenOptions::new().write(true).open(disk.path()).unwrap();
    file.seek(SeekFrom::Start((page - 1) * 4096)).unwrap();
    file.write_all(&[0xff; 64]).unwrap();
}

/// Breaks the promises of a store in a way that it notices.
async fn assert_failed(store: &SqliteStore) {
    let health = store.health().borrow().clone();
    assert!(matches!(health, StoreHealth::Failed { .. }), "{health:?}");
    let refused = store.accept(job(99, 10)).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    let refused = store.close().await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
}

#[tokio::test]
async fn a_damaged_file_is_noticed_after_an_unclean_stop_and_kept() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    for number in 1..50 {
        accept(&store, number).await;
    }
    drop(store);
    damage(&disk, 5);
    let before = fs::read(disk.path()).unwrap();

    let refused = SqliteStore::open(&disk.config()).unwrap_err();

    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    assert_eq!(fs::read(disk.path()).unwrap(), before);
}

/// Leaves a store as a crash would; damages what a start does not read.
async fn crashed(disk: &OnDisk, is_damaged: bool) -> SqliteConfig {
    let store = disk.open_store();
    for number in 1..50 {
        accept(&store, number).await;
    }
    drop(store);
    let root = {
        let conn = rusqlite::Connection::open(disk.path()).unwrap();
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'job_ends'";
        let root: i64 = conn.query_row(root, [], |row| row.get(0)).unwrap();
        root.try_into().unwrap()
    };
    if is_damaged {
        damage(disk, root);
    }
    SqliteConfig {
        check_first: 0,
        ..disk.config()
    }
}

#[tokio::test]
async fn a_large_file_is_checked_while_it_serves_and_what_is_found_ends_all_writing() {
    let disk = OnDisk::default();
    let config = crashed(&disk, true).await;

    let store = SqliteStore::open(&config).unwrap();
    assert_eq!(store.counts().queued, 49);
    store.checked().await;

    let health = store.health().borrow().clone();
    let StoreHealth::Failed { reason } = health else {
        panic!("{health:?}");
    };
    assert!(reason.contains("is damaged"), "{reason}");
    assert_failed(&store).await;
    drop(store);
    // The next one does not serve from it.
    let refused = SqliteStore::open(&config).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_large_file_that_is_whole_is_noted_as_checked() {
    let disk = OnDisk::default();
    let config = crashed(&disk, false).await;
    let is_noted = || {
        let conn = rusqlite::Connection::open(disk.path()).unwrap();
        queries::note(&conn, UNCHECKED).unwrap().is_some()
    };

    let store = SqliteStore::open(&config).unwrap();
    store.checked().await;
    assert_eq!(*store.health().borrow(), StoreHealth::Ok);
    assert!(!is_noted());
    accept(&store, 50).await;
    drop(store);

    // After a crash in the middle of the check the next start waits for it.
    let conn = rusqlite::Connection::open(disk.path()).unwrap();
    queries::save_note(&conn, UNCHECKED, &[]).unwrap();
    drop(conn);
    let store = SqliteStore::open(&config).unwrap();
    assert!(!is_noted());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_clean_stop_leaves_its_mark_for_one_start() {
    let disk = OnDisk::default();
    let mark = |disk: &OnDisk| {
        let conn = rusqlite::Connection::open(disk.path()).unwrap();
        queries::note(&conn, CLEAN_STOP).unwrap().is_some()
    };

    disk.open_store().close().await.unwrap();
    assert!(mark(&disk));
    assert!(!disk.dir.path().join("queue.db-wal").exists());

    drop(disk.open_store());
    assert!(!mark(&disk));
}

#[tokio::test]
async fn a_database_that_was_replaced_is_not_written_any_more() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    let mut health = store.health();

    fs::rename(disk.path(), disk.dir.path().join("elsewhere")).unwrap();

    health
        .wait_for(|health| matches!(health, StoreHealth::Failed { .. }))
        .await
        .unwrap();
    assert_failed(&store).await;
}

#[tokio::test]
async fn a_panic_in_the_writer_is_no_silent_death() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    let request = ClaimRequest {
        choose: Arc::new(|_: &QueueHeads| panic!("the policy is broken")),
        ..wish()
    };

    let claimed = store.claim(request).await;

    assert!(
        matches!(claimed, Err(StoreError::Unknown(_))),
        "{claimed:?}"
    );
    assert_failed(&store).await;
    drop(store);
    assert_eq!(disk.open_store().counts().queued, 1);
}

#[tokio::test]
async fn another_writer_makes_the_store_busy_and_nothing_more() {
    let disk = OnDisk::default();
    let config = SqliteConfig {
        busy: Duration::ZERO,
        ..disk.config()
    };
    let store = SqliteStore::open(&config).unwrap();
    let other = rusqlite::Connection::open(disk.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let refused = store.accept(job(1, 10)).await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");

    other.execute_batch("ROLLBACK").unwrap();
    accept(&store, 1).await;
    assert_eq!(*store.health().borrow(), StoreHealth::Ok);
}

/// What can become of the row of a job, each with the column that its error names.
const DAMAGED_ROWS: [(&str, &str); 8] = [
    ("id = 'no id'", "id"),
    ("endpoint = '/api/other'", "endpoint"),
    ("model = CAST(x'6dff' AS TEXT)", "model"),
    ("runner = CAST(x'6dff' AS TEXT)", "runner"),
    ("caller = CAST(x'ff' AS TEXT)", "caller"),
    ("retry_of = 'no id'", "retry_of"),
    ("metadata = CAST(x'7bff7d' AS TEXT)", "metadata"),
    ("prompt_tokens = -1", "prompt_tokens"),
];

/// Changes a row as no foreman would.
fn break_row(disk: &OnDisk, seq: i64, change: &str) {
    let other = rusqlite::Connection::open(disk.path()).unwrap();
    let sql = format!(
        "DROP TRIGGER jobs_change; PRAGMA ignore_check_constraints = ON;
         UPDATE jobs SET {change} WHERE seq = {seq};"
    );
    let triggers: String = other
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE name = 'jobs_change'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    other.execute_batch(&sql).unwrap();
    other.execute_batch(&triggers).unwrap();
}

#[tokio::test]
async fn a_job_whose_row_is_damaged_fails_alone_and_can_be_seen_and_forgotten() {
    for (change, column) in DAMAGED_ROWS {
        let disk = OnDisk::default();
        let store = disk.open_store();
        accept(&store, 1).await;
        accept(&store, 2).await;
        break_row(&disk, 1, change);

        let waiting = store.list(JobFilter::default(), None, 10).await.unwrap();
        assert_first_is_unread(&store, change).await;
        let listed = store.list(JobFilter::default(), None, 10).await.unwrap();

        assert_eq!(waiting.jobs.len(), 2, "{change}");
        let told = format!("stored data of the job is damaged: {column}");
        let told = JobFailure::new(FailureKind::StorageRead, told);
        assert_eq!(waiting.jobs[1].failure, Some(told), "{change}");
        assert_eq!(listed.jobs[1].progress.state, JobState::Failed, "{change}");
        let all = Timestamp::from_millis(i64::MAX);
        let purge = Purge {
            jobs_before: all,
            bodies_before: all,
            limit: 10,
        };
        assert_eq!(store.purge(purge).await.unwrap().jobs, 1, "{change}");
        let rest = store.list(JobFilter::default(), None, 10).await.unwrap();
        assert_eq!(rest.jobs.len(), 1, "{change}");
    }
}

#[tokio::test]
async fn a_job_whose_row_was_damaged_while_it_ran_is_recovered_and_fails_alone() {
    // How a former run ended is written anew.
    for (change, _) in &DAMAGED_ROWS[..7] {
        let disk = OnDisk::default();
        let store = disk.open_store();
        accept(&store, 1).await;
        accept(&store, 2).await;
        let _claimed = store.claim(wish()).await.unwrap().unwrap();
        store.close().await.unwrap();
        drop(store);
        break_row(&disk, 1, change);

        let store = disk.open_store();
        let now = Timestamp::from_millis(2);
        let recovered = store.recover(now, now).await.unwrap();

        assert_eq!(recovered.jobs.len(), 1, "{change}");
        assert_first_is_unread(&store, change).await;
    }
}

#[tokio::test]
async fn a_job_that_left_with_a_damaged_row_stops_no_other_job() {
    for (change, _) in DAMAGED_ROWS.iter().filter(|(_, column)| *column != "id") {
        let disk = OnDisk::default();
        let store = disk.open_store();
        accept(&store, 1).await;
        accept(&store, 2).await;
        break_row(&disk, 1, change);
        store.cancel(job(1, 10).id, wish().now).await.unwrap();

        let mut claimed = store.claim(wish()).await.unwrap();
        if claimed.is_none() {
            // The queue has learned that the first one is not there.
            claimed = store.claim(wish()).await.unwrap();
        }

        assert_eq!(claimed.unwrap().job.id, job(2, 10).id, "{change}");
    }
}

#[tokio::test]
async fn a_failure_that_no_foreman_wrote_is_shown_as_far_as_it_can_be_read() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    let failure = "error_code = 'no_code', error_message = CAST(x'77ff' AS TEXT)";
    break_row(&disk, 1, failure);

    let read = store.job(job(1, 10).id).await.unwrap().unwrap();

    let shown = JobFailure::new(FailureKind::StorageRead, "w\u{fffd}");
    assert_eq!(read.failure, Some(shown));
}

#[tokio::test]
async fn what_moves_a_job_on_must_be_readable() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    break_row(&disk, 1, "attempt = 4294967296");

    let read = store.job(job(1, 10).id).await;
    let claimed = store.claim(wish()).await;

    assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
    assert!(
        matches!(claimed, Err(StoreError::Damaged(_))),
        "{claimed:?}"
    );
}

/// Breaks one of two jobs by hand, and expects the other to go on.
async fn assert_fails_alone(store: &SqliteStore, disk: &OnDisk, sql: &str) {
    let other = rusqlite::Connection::open(disk.path()).unwrap();
    other.execute_batch(sql).unwrap();
    assert_first_is_unread(store, sql).await;
}

/// The first job has no request, the second one has.
async fn assert_first_is_unread(store: &SqliteStore, why: &str) {
    let first = store.claim(wish()).await.unwrap().unwrap();
    assert_eq!((first.job.seq, first.request.clone()), (1, None), "{why}");
    let failed = Settlement {
        outcome: Outcome::Failed {
            failure: JobFailure::new(FailureKind::StorageRead, "cannot be read"),
            spends_attempt: false,
            answer: None,
        },
        log: None,
        ..done(&first)
    };
    let failed = store.settle(failed).await.unwrap();
    assert_eq!(failed.progress.state, JobState::Failed);
    let second = store.claim(wish()).await.unwrap().unwrap();
    assert_eq!(second.job.id, job(2, 10).id);
    assert_eq!(second.request, Some(job(2, 10).request));
    assert_eq!(*store.health().borrow(), StoreHealth::Ok);
}

#[tokio::test]
async fn a_job_whose_request_is_gone_is_claimed_without_it_and_the_next_with_its_own() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    accept(&store, 2).await;

    assert_fails_alone(&store, &disk, "DELETE FROM job_requests WHERE seq = 1").await;
}

#[tokio::test]
async fn a_request_that_no_foreman_wrote_stops_no_other_job() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    accept(&store, 2).await;

    let sql = "UPDATE job_requests SET headers = '{' WHERE seq = 1";
    assert_fails_alone(&store, &disk, sql).await;
}

#[tokio::test]
async fn a_request_on_a_damaged_page_stops_no_other_job() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    let page_of_2 = {
        // The body of the first fills pages of its own, which come before the next job's.
        let other = rusqlite::Connection::open(disk.path()).unwrap();
        let grow = "UPDATE job_requests SET body = zeroblob(40000) WHERE seq = 1";
        other.execute_batch(grow).unwrap();
        let pages = "PRAGMA page_count";
        other
            .query_row(pages, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    accept(&store, 2).await;
    store.close().await.unwrap();
    // A link of the chain of pages that points nowhere.
    damage(&disk, u64::try_from(page_of_2).unwrap() - 3);

    assert_first_is_unread(&disk.open_store(), "a damaged page").await;
}
