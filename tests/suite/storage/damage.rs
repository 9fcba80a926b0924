//! The database is removed, replaced, cut off or damaged.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use foreman_tests::{Foreman, Pair, chat, stub, within};
use rstest::rstest;
use rustix::process::Signal;

use super::{ended, submit};
use crate::{A, foreman};

/// Tries to start on the database of a foreman that has ended; returns what it says.
async fn refusal(before: &Foreman, target: &str) -> String {
    let mut command = foreman().after(before).target(target).command();
    let output = within("a refusal", command.arg("serve").output())
        .await
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(!out.contains("listening"), "{out}");
    text
}

#[rstest]
#[case::deleted(|foreman: &Foreman| fs::remove_file(foreman.database()).unwrap())]
#[case::replaced(|foreman: &Foreman| {
    let other = foreman.directory().join("other.db");
    fs::copy(foreman.database(), &other).unwrap();
    fs::rename(other, foreman.database()).unwrap();
})]
#[case::cut_off(|foreman: &Foreman| {
    let file = OpenOptions::new().write(true).open(foreman.database()).unwrap();
    file.set_len(0).unwrap();
})]
#[tokio::test]
async fn a_foreman_whose_database_is_gone_ends_and_writes_nothing(#[case] harm: fn(&Foreman)) {
    let Pair {
        stub: _stub,
        mut foreman,
    } = Pair::start(stub(), foreman()).await;
    let id = submit(&foreman, &chat(A, "before")).await;
    ended(&foreman, &id).await;

    harm(&foreman);

    let exit = foreman.exit().await;
    assert!(!exit.success());
    let said = foreman.log().lines();
    let named = |line: &serde_json::Value| line.to_string().contains("database file was");
    assert!(said.iter().any(named), "{said:#?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let Pair { stub, mut foreman } = Pair::start(stub(), foreman()).await;
    foreman.signal(Signal::TERM);
    foreman.exit().await;
    let file = OpenOptions::new()
        .write(true)
        .open(foreman.database())
        .unwrap();
    file.write_all_at(b"garbage garbage!", 0).unwrap();
    let before = fs::read(foreman.database()).unwrap();

    let said = refusal(&foreman, &stub.url()).await;

    assert!(said.contains("is no database"), "{said}");
    assert!(said.contains("move it away"), "{said}");
    assert!(fs::read(foreman.database()).unwrap() == before);
}

#[tokio::test]
async fn one_byte_that_flipped_in_an_index_is_found_after_an_unclean_stop() {
    let Pair { stub, mut foreman } = Pair::start(stub(), foreman()).await;
    for prompt in ["one", "two", "three"] {
        let id = submit(&foreman, &chat(A, prompt)).await;
        ended(&foreman, &id).await;
    }
    foreman.signal(Signal::TERM);
    foreman.exit().await;
    let page = {
        let conn = rusqlite::Connection::open(foreman.database()).unwrap();
        // A stop that was not clean.
        conn.execute_batch("DELETE FROM notes WHERE name = 'clean_stop'")
            .unwrap();
        let index = "SELECT rootpage FROM sqlite_schema WHERE name = 'jobs_taken'";
        conn.query_row(index, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(foreman.database())
        .unwrap();
    // The last byte of the page belongs to the first key that was put there.
    let at = u64::try_from(page).unwrap() * 4096 - 1;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
    let before = fs::read(foreman.database()).unwrap();

    let said = refusal(&foreman, &stub.url()).await;

    assert!(said.contains("is damaged"), "{said}");
    assert!(said.contains("restore a backup"), "{said}");
    assert!(fs::read(foreman.database()).unwrap() == before);
}

#[tokio::test]
async fn a_log_that_was_removed_after_a_crash_is_reported() {
    let Pair { stub, mut foreman } = Pair::start(stub(), foreman()).await;
    let id = submit(&foreman, &chat(A, "before")).await;
    ended(&foreman, &id).await;
    // What a moment of rest does.
    let conn = rusqlite::Connection::open(foreman.database()).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .unwrap();
    drop(conn);
    let id = submit(&foreman, &chat(A, "after")).await;
    ended(&foreman, &id).await;
    foreman.kill().await;
    fs::remove_file(foreman.directory().join("foreman.db-wal")).unwrap();

    let next = crate::foreman()
        .after(&foreman)
        .target(&stub.url())
        .start()
        .await;

    let lines = next.log().having("level", "ERROR");
    let missed = |line: &serde_json::Value| line.to_string().contains("write-ahead log is gone");
    assert!(lines.iter().any(missed), "{lines:#?}");
    assert_eq!(next.health().await["status"], "ok");
}
