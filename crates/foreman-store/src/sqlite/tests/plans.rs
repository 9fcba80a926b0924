//! Every probe uses the index that was made for it.

use rusqlite::Connection;

use super::*;

/// What SQLite would do, one line a step.
fn plan(conn: &Connection, sql: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut steps = Vec::new();
    let mut found = statement.raw_query();
    while let Some(row) = found.next().unwrap() {
        steps.push(row.get::<_, String>(3).unwrap());
    }
    steps.join("\n")
}

#[test]
fn no_probe_reads_the_queue() {
    let disk = OnDisk::default();
    drop(disk.open_store());
    let conn = Connection::open(disk.path()).unwrap();

    for (name, sql, index) in queries::probes() {
        let plan = plan(&conn, sql);

        assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{name} sorts:\n{plan}");
        assert!(!plan.contains("SCAN job_log"), "{name} reads all:\n{plan}");
    }
}
