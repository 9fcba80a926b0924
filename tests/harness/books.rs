//! What a database holds after its owner has died, and what must always hold in it.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

/// A job as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub seq: i64,
    /// Its public name.
    pub id: String,
    /// Its state.
    pub state: String,
    /// Attempts that were spent.
    pub attempt: i64,
    /// Claims.
    pub epoch: i64,
    /// Crashes that found it running.
    pub crashes: i64,
    /// Until when it rests.
    pub retry_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// Whether a wish to cancel it is noted.
    pub cancel_requested: bool,
    /// Who submitted it.
    pub caller: Option<String>,
    /// The key it was submitted under.
    pub key: Option<String>,
    /// What it asks the target.
    pub request: Option<Vec<u8>>,
    /// How many rows of its log there are.
    pub log_rows: i64,
}

/// All jobs of a database, in their order.
#[derive(Debug, Clone)]
pub struct Books {
    /// The jobs.
    pub rows: Vec<Row>,
    /// How many jobs there have ever been.
    pub ever: i64,
    /// What is wrong with the database; nothing should be.
    pub faults: Vec<String>,
}

const ROWS: &str = "\
SELECT seq, id, state, attempt, epoch, crashes, retry_at, finished_at,
  cancel_requested_at IS NOT NULL, caller, idem_key,
  (SELECT body FROM job_requests WHERE job_requests.seq = jobs.seq),
  (SELECT count(*) FROM job_log WHERE job_log.seq = jobs.seq)
FROM jobs
ORDER BY seq";

/// Each finds rows that must not be.
const FAULTS: [(&str, &str); 7] = [
    (
        "more than one job has a slot",
        "SELECT 1 FROM jobs WHERE slot IS NOT NULL GROUP BY slot HAVING count(*) > 1",
    ),
    (
        "a job runs without a slot, or has one and does not run",
        "SELECT 1 FROM jobs WHERE (state IN ('loading', 'working')) <> (slot IS NOT NULL)",
    ),
    (
        "a job has ended without an end, or has one and has not",
        "SELECT 1 FROM jobs
         WHERE (state IN ('done', 'failed', 'cancelled')) <> (finished_at IS NOT NULL)",
    ),
    (
        "a job is done without an answer",
        "SELECT 1 FROM jobs WHERE state = 'done' AND seq IN (SELECT seq FROM job_requests)
         AND seq NOT IN (SELECT seq FROM job_ends WHERE status IS NOT NULL)",
    ),
    (
        "a job that has not ended has lost its request",
        "SELECT 1 FROM jobs WHERE finished_at IS NULL AND seq NOT IN (SELECT seq FROM job_requests)",
    ),
    (
        "something belongs to no job",
        "SELECT 1 FROM pragma_foreign_key_check",
    ),
    (
        "a key has more than one job",
        "SELECT 1 FROM jobs WHERE idem_key IS NOT NULL GROUP BY idem_scope, idem_key
         HAVING count(*) > 1",
    ),
];

impl Books {
    /// Reads a database whose owner does not run, and leaves it as it is.
    pub fn of_dead(database: &Path) -> Self {
        let copy = tempfile::tempdir().expect("a temporary directory");
        for suffix in ["", "-wal"] {
            let from = format!("{}{suffix}", database.display());
            let to = copy.path().join(format!("copy.db{suffix}"));
            if Path::new(&from).exists() {
                fs::copy(from, to).expect("copy the database");
            }
        }
        Self::read(&copy.path().join("copy.db"))
    }

    /// Reads a database.
    pub fn read(database: &Path) -> Self {
        let conn = Connection::open(database).expect("open the database");
        let has_schema = "SELECT count(*) FROM sqlite_schema WHERE name = 'jobs'";
        let report: String = one(&conn, "PRAGMA quick_check");
        let mut faults = Vec::new();
        if report != "ok" {
            faults.push(report);
        }
        if one::<i64>(&conn, has_schema) == 0 {
            let rows = Vec::new();
            return Self {
                rows,
                ever: 0,
                faults,
            };
        }
        for (fault, sql) in FAULTS {
            let mut found = conn.prepare(sql).expect("a check");
            if found.exists([]).expect("the outcome of a check") {
                faults.push(fault.to_owned());
            }
        }
        let ever =
            "SELECT max((SELECT seq FROM last_gone), coalesce((SELECT max(seq) FROM jobs), 0))";
        Self {
            rows: rows(&conn),
            ever: one(&conn, ever),
            faults,
        }
    }

    /// Finds a job by its public name.
    pub fn job(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }
}

impl Row {
    /// Tells whether it never changes any more.
    pub fn has_ended(&self) -> bool {
        self.finished_at.is_some()
    }
}

fn rows(conn: &Connection) -> Vec<Row> {
    let mut statement = conn.prepare(ROWS).expect("read the jobs");
    let found = statement.query_map([], |row| {
        Ok(Row {
            seq: row.get(0)?,
            id: row.get(1)?,
            state: row.get(2)?,
            attempt: row.get(3)?,
            epoch: row.get(4)?,
            crashes: row.get(5)?,
            retry_at: row.get(6)?,
            finished_at: row.get(7)?,
            cancel_requested: row.get(8)?,
            caller: row.get(9)?,
            key: row.get(10)?,
            request: row.get(11)?,
            log_rows: row.get(12)?,
        })
    });
    let rows = found.expect("read the jobs");
    rows.map(|row| row.expect("a job")).collect()
}

fn one<T: rusqlite::types::FromSql>(conn: &Connection, sql: &str) -> T {
    conn.query_row(sql, [], |row| row.get(0))
        .expect("read the database")
}
