//! Databases of every version are brought to the schema of this one.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use foreman_job::{FailureKind, JobId, JobState, Timestamp};
use foreman_store::{FIRST_EVENT, LogEvent, QueueCounts, QueueStore, SqliteConfig, SqliteStore};
use rusqlite::Connection;

const FIXTURES: [&str; 4] = [
    include_str!("fixtures/v1.sql"),
    include_str!("fixtures/v2.sql"),
    include_str!("fixtures/v3.sql"),
    include_str!("fixtures/v4.sql"),
];

/// Place and name of the jobs of each fixture.
const JOBS: [(&str, JobState); 7] = [
    ("01M7XWTK0H000G000000000001", JobState::Done),
    ("01M7XWTK0J0010000000000002", JobState::Failed),
    ("01M7XWTK0K001G000000000003", JobState::Cancelled),
    ("01M7XWTK0M0020000000000004", JobState::Queued),
    ("01M7XWTK0N002G000000000005", JobState::Loading),
    ("01M7XWTK0P0030000000000006", JobState::Working),
    ("01M7XWTK0Q003G000000000007", JobState::Queued),
];

fn open(path: &Path) -> SqliteStore {
    let config = SqliteConfig {
        reserve: 0,
        ballast: 0,
        idle: Duration::from_hours(1),
        ..SqliteConfig::new(path)
    };
    SqliteStore::open(&config).unwrap()
}

fn load(path: &Path, sql: &str) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(sql).unwrap();
}

fn schema(path: &Path) -> Vec<(String, Option<String>)> {
    let conn = Connection::open(path).unwrap();
    let mut statement = conn
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
        .unwrap();
    let found = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    found.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_database_of_every_version_opens_with_all_its_jobs() {
    for sql in FIXTURES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        load(&path, sql);

        let store = open(&path);

        let counts = QueueCounts {
            queued: 2,
            loading: 1,
            working: 1,
            done: 1,
            failed: 1,
            cancelled: 1,
        };
        assert_eq!(store.counts(), counts);
        for (id, state) in JOBS {
            let id: JobId = id.parse().unwrap();
            let job = store.job(id).await.unwrap().unwrap();
            assert_eq!(job.progress.state, state, "{id}");
            assert_eq!(job.model, "llama3");
            assert!(store.request(id).await.unwrap().is_some());
            assert_eq!(
                store.answer(id).await.unwrap().is_some(),
                state == JobState::Done
            );
            let failed = state == JobState::Failed || job.progress.retry_at.is_some();
            assert_eq!(
                job.failure.map(|failure| failure.kind),
                failed.then_some(FailureKind::TargetUnreachable)
            );
        }
        assert!(store.note("inventory").await.unwrap().is_some());
        let now = Timestamp::from_millis(1_795_225_899_999);
        let recovery = store.recover(now, now).await.unwrap();
        assert_eq!((recovery.jobs.len(), recovery.queued), (2, 3));
    }
}

#[tokio::test]
async fn what_the_run_of_a_job_has_logged_is_in_the_log_after_the_migration() {
    for sql in FIXTURES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        load(&path, sql);
        // Of the sixth job, which is working in its first run; the later row comes first.
        load(
            &path,
            "INSERT INTO job_events (seq, n, events, epoch, attempt, kinds, data) VALUES
               (6, 4, 2, 1, 0, '[3,1]', x'6162630a'),
               (6, 2, 2, 1, 0, '[\"loading\",\"working\"]', x'')",
        );

        let store = open(&path);

        let id: JobId = JOBS[5].0.parse().unwrap();
        let page = store.events(id, FIRST_EVENT, 10).await.unwrap().unwrap();
        let chunk = |text: &'static [u8]| LogEvent::Chunk(Bytes::from_static(text));
        let found: Vec<_> = page
            .entries
            .into_iter()
            .map(|entry| (entry.n, entry.event))
            .collect();
        assert_eq!(
            found,
            [
                (2, LogEvent::State(JobState::Loading)),
                (3, LogEvent::State(JobState::Working)),
                (4, chunk(b"abc")),
                (5, chunk(b"\n")),
            ]
        );
        drop(store);
        let conn = Connection::open(&path).unwrap();
        let orphans = conn.prepare("PRAGMA foreign_key_check").unwrap().exists([]);
        assert!(!orphans.unwrap());
        conn.execute_batch("PRAGMA foreign_keys = ON; DROP TRIGGER jobs_leave; DELETE FROM jobs")
            .unwrap();
        let left: i64 = conn
            .query_row("SELECT count(*) FROM job_events", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0, "rows of a log go with their job");
    }
}

/// The fixture of the newest version is also the proof that its migration was not edited.
#[test]
fn a_migrated_database_has_the_schema_of_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new.db");
    drop(open(&new));
    for (number, sql) in FIXTURES.into_iter().enumerate() {
        let old = dir.path().join(format!("{number}.db"));
        load(&old, sql);

        drop(open(&old));

        assert_eq!(schema(&old), schema(&new));
        let conn = Connection::open(&old).unwrap();
        let report: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(report, "ok");
    }
}
