//! Every probe uses the index that was made for it.

use rusqlite::Connection;

use super::*;

/// What SQLite would do, one line a step.
fn plan(conn: &Connection, sql: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = statement
        .query_map([], |row| row.get::<_, String>(3))
        .unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
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
    }
}
