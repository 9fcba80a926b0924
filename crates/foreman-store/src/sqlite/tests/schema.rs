//! What the schema refuses, and which files are refused for theirs.

use std::fs;

use rusqlite::Connection;

use super::*;

fn closed_with(sql: &str) -> OnDisk {
    let disk = OnDisk::default();
    drop(disk.open_store());
    raw(&disk).execute_batch(sql).unwrap();
    disk
}

fn raw(disk: &OnDisk) -> Connection {
    let conn = Connection::open(disk.path()).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    conn
}

#[test]
fn a_newer_schema_is_refused_with_both_versions() {
    let disk = closed_with("PRAGMA user_version = 7");

    let refused = SqliteStore::open(&disk.config()).unwrap_err().to_string();

    assert!(refused.contains("schema version 7"), "{refused}");
    assert!(refused.contains("up to 4"), "{refused}");
    assert!(
        SqliteStore::open(&disk.config()).is_err(),
        "it was left as it is"
    );
}

#[test]
fn the_database_of_another_program_is_refused() {
    for sql in [
        "PRAGMA application_id = 252006674",
        "PRAGMA application_id = 0",
    ] {
        let disk = closed_with(sql);

        let refused = SqliteStore::open(&disk.config()).unwrap_err();

        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let disk = OnDisk::default();
    let text = "my notes, which are longer than the header of a database file would be, ".repeat(9);
    fs::write(disk.path(), &text).unwrap();

    let refused = SqliteStore::open(&disk.config()).unwrap_err();

    assert!(
        matches!(refused, OpenError::NotADatabase { .. }),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(disk.path()).unwrap(), text);
}

#[test]
fn an_empty_file_becomes_a_database() {
    let disk = OnDisk::default();
    fs::write(disk.path(), "").unwrap();

    drop(disk.open_store());

    let vacuum: i64 = raw(&disk)
        .query_row("PRAGMA auto_vacuum", [], |row| row.get(0))
        .unwrap();
    assert_eq!(vacuum, 2, "a purge gives room back to the disk");
}

#[tokio::test]
async fn changes_that_the_life_cycle_does_not_know_are_refused() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    for number in 1..=3 {
        accept(&store, number).await;
    }
    let first = store.claim(wish()).await.unwrap().unwrap();
    store.settle(done(&first)).await.unwrap();
    store.claim(wish()).await.unwrap().unwrap();
    drop(store);
    let conn = raw(&disk);

    // Job 1 is done, job 2 loading in slot 0, job 3 queued.
    for sql in [
        "UPDATE jobs SET state = 'queued', finished_at = NULL WHERE seq = 1",
        "UPDATE jobs SET error_code = 'internal', error_message = 'x' WHERE seq = 1",
        "UPDATE jobs SET epoch = 0 WHERE seq = 2",
        "UPDATE jobs SET epoch = 9 WHERE seq = 2",
        "UPDATE jobs SET slot = 1 WHERE seq = 2",
        "UPDATE jobs SET slot = NULL WHERE seq = 2",
        "UPDATE jobs SET retry_at = 5 WHERE seq = 2",
        "UPDATE jobs SET id = 'x' WHERE seq = 2",
        "UPDATE jobs SET state = 'done', slot = NULL WHERE seq = 2",
        "UPDATE jobs SET state = 'working', slot = 1 WHERE seq = 3",
        "UPDATE jobs SET state = 'done', finished_at = 1 WHERE seq = 3",
        "UPDATE jobs SET state = 'loading', slot = 1 WHERE seq = 3",
        "UPDATE jobs SET state = 'loading', slot = 0, epoch = 1 WHERE seq = 3",
        "UPDATE jobs SET emptied = 1 WHERE seq = 2",
        "UPDATE jobs SET emptied = 1 WHERE seq = 3",
        "UPDATE jobs SET emptied = 2 WHERE seq = 1",
        "UPDATE jobs SET emptied = 1, model = 'x' WHERE seq = 1",
        "UPDATE jobs SET state = 'running' WHERE seq = 3",
        "UPDATE jobs SET priority = 9 WHERE seq = 3",
        "UPDATE jobs SET created_at = 'noon' WHERE seq = 3",
        "DELETE FROM jobs WHERE seq = 2",
        "DELETE FROM jobs WHERE seq = 3",
        "INSERT INTO jobs (id, endpoint, model, runner, state, priority, created_at, slot)
         VALUES ('x', '/api/chat', 'm', 'm|', 'loading', 1, 1, 5)",
        "INSERT INTO job_requests (seq, headers, body) VALUES (77, '[]', x'')",
    ] {
        let refused = conn.execute_batch(sql);
        assert!(refused.is_err(), "{sql}");
    }
    for sql in [
        "UPDATE jobs SET state = 'working' WHERE seq = 2",
        "UPDATE jobs SET state = 'loading', slot = 1, epoch = 1 WHERE seq = 3",
        "DELETE FROM jobs WHERE seq = 1",
    ] {
        conn.execute_batch(sql).unwrap();
    }
    let left: i64 = conn
        .query_row(
            "SELECT (SELECT count(*) FROM job_requests WHERE seq = 1)
                  + (SELECT count(*) FROM job_log)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0, "all that belongs to a job goes with it");
}

#[test]
fn a_change_of_a_job_keeps_nothing_to_undo_half_of_it() {
    let disk = OnDisk::default();
    drop(disk.open_store());

    let guards: String = raw(&disk)
        .query_row(
            "SELECT group_concat(sql) FROM sqlite_schema WHERE name IN ('jobs_enter', 'jobs_change')",
            [],
            |row| row.get(0),
        )
        .unwrap();

    // A guard that may abort makes SQLite copy each page before a statement changes it, and so does a
    // check that calls a function.
    assert!(guards.contains("RAISE(FAIL"), "{guards}");
    assert!(!guards.contains("RAISE(ABORT"), "{guards}");
    let jobs: String = raw(&disk)
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE name = 'jobs'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let mut calls = jobs
        .split('(')
        .filter(|before| before.ends_with(|last: char| last.is_ascii_lowercase()));
    assert_eq!(calls.next(), None, "{jobs}");
}

/// Job 1 is done, job 2 loading in slot 0, job 3 working in slot 1, job 4 queued, job 5 at rest.
async fn one_of_each() -> (OnDisk, Connection) {
    let disk = OnDisk::default();
    let store = disk.open_store();
    for number in 1..=5 {
        accept(&store, number).await;
    }
    let first = store.claim(wish()).await.unwrap().unwrap();
    store.settle(done(&first)).await.unwrap();
    for slot in [0, 1] {
        let request = ClaimRequest { slot, ..wish() };
        let claimed = store.claim(request).await.unwrap().unwrap();
        if slot == 1 {
            let (seq, epoch) = (claimed.job.seq, claimed.job.progress.epoch);
            let now = Timestamp::from_millis(3);
            store.start(seq, epoch, now).await.unwrap();
        }
    }
    store.close().await.unwrap();
    let conn = raw(&disk);
    for sql in [
        "UPDATE jobs SET attempt = 1, crashes = 1 WHERE seq = 2",
        "UPDATE jobs SET retry_at = 9 WHERE seq = 5",
    ] {
        conn.execute(sql, []).unwrap();
    }
    (disk, conn)
}

fn refused(conn: &Connection, sql: &str, rule: &str) {
    let error = conn.execute_batch(sql).unwrap_err().to_string();
    assert!(error.contains(rule), "{sql}: {error}");
}

#[tokio::test]
async fn each_rule_of_the_life_cycle_refuses_what_it_names() {
    let (_disk, conn) = one_of_each().await;

    for (rule, change, seq) in [
        ("an ended job never changes", "model = 'x'", 1),
        ("a job keeps its name and place", "seq = 77", 4),
        ("a job keeps its name and place", "id = 'x'", 4),
        ("a job keeps its name and place", "created_at = 7", 4),
        ("counters of a job only grow", "epoch = 0", 2),
        ("counters of a job only grow", "attempt = 0", 2),
        ("counters of a job only grow", "crashes = 0", 2),
        ("must be claimed first", "state = 'working', slot = 7", 4),
        (
            "must be claimed first",
            "state = 'done', finished_at = 1",
            4,
        ),
        ("a working job does not load", "state = 'loading'", 3),
        ("and one epoch", "state = 'loading', slot = 7", 4),
        ("and one epoch", "state = 'loading', slot = 7, epoch = 2", 4),
        (
            "takes a ready job",
            "state = 'loading', slot = 7, epoch = 1, retry_at = NULL",
            5,
        ),
        ("only a claim changes the epoch", "epoch = 2", 2),
        ("only a claim changes the epoch", "epoch = 1", 4),
        ("a running job keeps its slot", "slot = 7", 2),
        (
            "one job runs in a slot",
            "state = 'loading', slot = 0, epoch = 1",
            4,
        ),
        ("bodies are forgotten once", "emptied = 1", 4),
        ("bodies are forgotten once", "emptied = 1", 2),
    ] {
        refused(
            &conn,
            &format!("UPDATE jobs SET {change} WHERE seq = {seq}"),
            rule,
        );
    }
    for column in ["epoch", "attempt", "crashes"] {
        let sql = format!(
            "INSERT INTO jobs (id, endpoint, model, runner, state, priority, created_at, {column})
             VALUES ('x', '/api/chat', 'm', 'm|', 'queued', 1, 1, 1)"
        );
        refused(&conn, &sql, "a new job is queued");
    }
}

#[tokio::test]
async fn a_claim_and_the_end_of_its_run_may_be_one_change() {
    let (_disk, conn) = one_of_each().await;
    let end = |change: &str, seq: i64| {
        format!("UPDATE jobs SET state = 'done', finished_at = 1, {change} WHERE seq = {seq}")
    };

    for (rule, change, seq) in [
        ("must be claimed first", "epoch = 1", 4),
        ("must be claimed first", "claimed_at = 1", 4),
        ("and one epoch", "claimed_at = 1, epoch = 2", 4),
        (
            "takes a ready job",
            "claimed_at = 1, epoch = 1, retry_at = NULL",
            5,
        ),
    ] {
        refused(&conn, &end(change, seq), rule);
    }
    let whole = end("claimed_at = 1, epoch = 1", 4);
    assert_eq!(conn.execute(&whole, []), Ok(1));
    let ran_before = "UPDATE jobs SET state = 'queued', slot = NULL WHERE seq = 2";
    assert_eq!(conn.execute(ran_before, []), Ok(1));
    refused(&conn, &end("epoch = 1", 2), "must be claimed first");
    refused(&conn, &end("epoch = 3", 2), "and one epoch");
    assert_eq!(conn.execute(&end("epoch = 2", 2), []), Ok(1));
}

#[tokio::test]
async fn each_check_of_a_column_refuses_what_it_names() {
    let (_disk, conn) = one_of_each().await;

    for (rule, change) in [
        ("(error_code IS NULL) =", "error_code = 'x'"),
        ("(error_code IS NULL) =", "error_message = 'x'"),
        ("(idem_key IS NULL) =", "idem_scope = 'x'"),
        ("(idem_key IS NULL) =", "idem_key = 'x', idem_scope = 'x'"),
        ("slot >= 0", "state = 'loading', slot = -1, epoch = 1"),
        ("slot IS NOT NULL", "slot = 7"),
        ("finished_at IS NOT NULL", "finished_at = 7"),
        ("failed: priority", "priority = 3"),
        ("target_status BETWEEN", "target_status = 99"),
        ("target_status BETWEEN", "target_status = 1000"),
    ] {
        refused(
            &conn,
            &format!("UPDATE jobs SET {change} WHERE seq = 4"),
            rule,
        );
    }
    let same_key = "UPDATE jobs SET idem_key = 'k', idem_scope = 's', request_hash = zeroblob(32)
         WHERE seq IN (4, 5)";
    refused(&conn, same_key, "UNIQUE");
    for (rule, n, events) in [("n >= 2", 1, 1), ("events > 0", 2, 0), ("UNIQUE", 9, 1)] {
        let sql = format!(
            "INSERT INTO job_events (seq, n, events, epoch, attempt, kinds, data)
             VALUES (4, 9, 1, 1, 0, '[]', x''), (4, {n}, {events}, 1, 0, '[]', x'')"
        );
        refused(&conn, &sql, rule);
    }
    let half_a_head = "INSERT INTO job_ends (seq, n, events, epoch, attempt, status, kinds, data)
         VALUES (4, 2, 1, 1, 0, 200, '[]', x'')";
    refused(&conn, half_a_head, "(status IS NULL) =");
}
