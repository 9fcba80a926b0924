//! Each call to the disk fails once: the first, the second, and so on, until none is left.
//!
//! It needs no list of what can go wrong. A queue does one of everything and says what it was told;
//! afterwards, on a disk that works, all of that must be true.

use std::path::Path;
use std::process::Command;

use foreman_job::{JobId, JobState, Timestamp};
use foreman_store::{QueueStore, SqliteConfig, SqliteStore};
use foreman_tests::Disk;
use rstest::rstest;

/// What a queue said of one job, and of which call.
type Said = Vec<(String, String)>;

fn run(disk: &Disk, path: &Path) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_queue-under-test"))
        .arg(path)
        .env_clear()
        .envs(disk.environment(path))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(word, rest)| (word.to_owned(), rest.to_owned()))
        .collect()
}

/// What the last word about a job allows.
fn allows(word: &str, state: Option<JobState>) -> bool {
    match word {
        "accepted" => matches!(
            state,
            Some(JobState::Queued | JobState::Loading | JobState::Working)
        ),
        "not-accepted" => state.is_none(),
        "unknown-accepted" => matches!(state, None | Some(JobState::Queued)),
        "cancelled" => state == Some(JobState::Cancelled),
        "not-cancelled" => state == Some(JobState::Queued),
        "done" => state == Some(JobState::Done),
        "failed" => state == Some(JobState::Failed),
        "queued" => matches!(
            state,
            Some(JobState::Queued | JobState::Loading | JobState::Working)
        ),
        "not-done" | "not-failed" | "not-queued" => {
            matches!(state, Some(JobState::Loading | JobState::Working))
        }
        _ => state.is_some(),
    }
}

fn config(path: &Path) -> SqliteConfig {
    SqliteConfig {
        reserve: 0,
        ballast: 0,
        readers: 1,
        ..SqliteConfig::new(path)
    }
}

/// Makes a database without jobs.
async fn close(path: &Path) {
    let store = SqliteStore::open(&config(path)).unwrap();
    store.close().await.unwrap();
}

async fn check(path: &Path, said: &Said) -> Result<(), String> {
    let store = SqliteStore::open(&config(path)).map_err(|error| error.to_string())?;
    let purged = said.iter().find(|(word, _)| word == "purged");
    let jobs = said.iter().filter_map(|(_, id)| id.parse::<JobId>().ok());
    let mut missing = 0;
    for id in jobs.collect::<std::collections::BTreeSet<_>>() {
        let name = id.to_string();
        let last = said.iter().rfind(|(_, id)| *id == name);
        let word = last.map_or("", |(word, _)| word.as_str());
        let job = store.job(id).await.map_err(|error| error.to_string())?;
        let state = job.map(|job| job.progress.state);
        let was_purged = state.is_none() && ["cancelled", "unknown-cancelled"].contains(&word);
        missing += u64::from(was_purged);
        if !was_purged && !allows(word, state) {
            return Err(format!("{name}: said {word}, found {state:?}"));
        }
        if state == Some(JobState::Done) {
            let answer = store.answer(id).await.map_err(|error| error.to_string())?;
            let bytes = answer.map(|answer| answer.chunks.concat().len());
            if bytes != Some(1_200) {
                return Err(format!("{name}: an answer of {bytes:?} bytes"));
            }
        }
    }
    if missing > 0 && purged.is_some_and(|(_, jobs)| jobs != "1") {
        return Err(format!("{missing} missing: {purged:?}"));
    }
    let now = Timestamp::from_millis(20);
    let recovered = store.recover(now, now).await;
    recovered.map_err(|error| format!("recovery: {error}"))?;
    drop(store);
    let conn = rusqlite::Connection::open(path).map_err(|error| error.to_string())?;
    let report = conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    match report.map_err(|error| error.to_string())?.as_str() {
        "ok" => Ok(()),
        report => Err(report.to_owned()),
    }
}

#[rstest]
#[case::once(false)]
#[case::from_then_on(true)]
#[tokio::test]
async fn whichever_call_to_the_disk_fails_what_was_said_is_true(#[case] onward: bool) {
    let Some(disk) = Disk::new() else {
        println!("skipped: only Linux lets a library stand before the disk");
        return;
    };
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().join("queue.db");
    close(&empty).await;
    let mut nth = 1;
    loop {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.db");
        std::fs::copy(&empty, &path).unwrap();
        disk.set_failing(nth, onward);
        let said = run(&disk, &path);
        let calls = disk.calls();
        let checked = check(&path, &said).await;
        assert_eq!(checked, Ok(()), "call {nth} failed: {said:#?}");
        if calls < nth {
            println!("{calls} calls");
            assert!(said.iter().all(|(word, _)| !word.contains('-')), "{said:?}");
            return;
        }
        // Once nothing works any more, one call is much like the next.
        nth += if onward { 7 } else { 1 };
    }
}
