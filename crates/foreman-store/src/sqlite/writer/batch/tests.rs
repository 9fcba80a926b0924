//! How a group is written, and what happens to it when one of it cannot be.

use rusqlite::ffi;

use super::*;
use crate::sqlite::writer::command::Refusal;
use crate::sqlite::writer::{DURABLE, Load};

/// Writes a row and counts a job, and then ends in a way.
struct Row(i64, Ran);

impl Command for Row {
    fn load(&self) -> Load {
        DURABLE
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Ran {
        tx.conn
            .execute("INSERT INTO t VALUES (?1)", [self.0])
            .unwrap();
        tx.moved(None, Some(JobState::Queued));
        self.1
    }

    fn answer(self: Box<Self>) {}

    fn refuse(self: Box<Self>, _why: &Refusal) {}
}

fn rows_after(commands: [Row; 3]) -> (Result<u64, Fault>, Vec<i64>) {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch("CREATE TABLE t (n)").unwrap();
    let mut group: Vec<Box<dyn Command>> = Vec::new();
    for command in commands {
        group.push(Box::new(command));
    }

    let mut depths = Depths::default();
    let tx = Tx::new(&conn, &mut depths, QueueCounts::default(), Room::endless());
    let outcome = run(tx, &mut group, &mut [], Vec::new).map(|changes| changes.counts.queued);

    assert!(conn.is_autocommit(), "the transaction is over");
    let mut statement = conn.prepare("SELECT n FROM t ORDER BY n").unwrap();
    let found = statement.query_map([], |row| row.get(0)).unwrap();
    (outcome, found.map(Result::unwrap).collect())
}

#[test]
fn what_a_refused_command_changed_is_undone_and_no_more() {
    let (counted, rows) = rows_after([Row(1, Ran::Well), Row(2, Ran::Refused), Row(3, Ran::Well)]);

    assert_eq!((counted, rows), (Ok(2), vec![1, 3]));
}

/// Changes something that SQLite does not count, and ends in a way.
struct Uncounted(Ran);

impl Command for Uncounted {
    fn load(&self) -> Load {
        DURABLE
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Ran {
        tx.conn.execute_batch("CREATE TABLE half (n)").unwrap();
        self.0
    }

    fn answer(self: Box<Self>) {}

    fn refuse(self: Box<Self>, _why: &Refusal) {}
}

#[test]
fn what_broke_off_is_undone_although_sqlite_counts_no_change() {
    let conn = Connection::open_in_memory().unwrap();
    let mut depths = Depths::default();
    let tx = Tx::new(&conn, &mut depths, QueueCounts::default(), Room::endless());
    let mut group: Vec<Box<dyn Command>> = vec![Box::new(Uncounted(Ran::Broken))];

    assert!(run(tx, &mut group, &mut [], Vec::new).is_ok());

    assert!(conn.prepare("SELECT n FROM half").is_err());
}

/// Accepts a job.
struct Arrival;

impl Command for Arrival {
    fn load(&self) -> Load {
        DURABLE
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Ran {
        tx.accepted(Timestamp::from_millis(1));
        Ran::Well
    }

    fn answer(self: Box<Self>) {}

    fn refuse(self: Box<Self>, _why: &Refusal) {}
}

/// Waits until it has been run so often.
struct Wish(u32);

impl Command for Wish {
    fn load(&self) -> Load {
        DURABLE
    }

    fn run(&mut self, _tx: &mut Tx<'_>) -> Ran {
        self.0 = self.0.saturating_sub(1);
        Ran::Well
    }

    fn answer(self: Box<Self>) {}

    fn refuse(self: Box<Self>, _why: &Refusal) {}

    fn waits(&self) -> bool {
        self.0 > 0
    }
}

#[test]
fn who_waits_is_run_again_behind_each_arrival_also_one_that_was_taken_along() {
    let conn = Connection::open_in_memory().unwrap();
    let mut depths = Depths::default();
    let tx = Tx::new(&conn, &mut depths, QueueCounts::default(), Room::endless());
    let mut group: Vec<Box<dyn Command>> = vec![Box::new(Arrival), Box::new(Wish(2))];
    let mut waiting: Vec<Box<dyn Command>> = vec![Box::new(Wish(2)), Box::new(Wish(3))];

    let changes = run(tx, &mut group, &mut waiting, || vec![Box::new(Arrival)]);

    assert!(changes.is_ok());
    assert_eq!(group.len(), 3);
    assert!(group.iter().all(|it| !it.waits()));
    let left: Vec<_> = waiting.iter().map(|it| it.waits()).collect();
    assert_eq!(left, [false, true]);
}

#[test]
fn a_full_disk_undoes_the_whole_transaction() {
    let (counted, rows) = rows_after([Row(1, Ran::Well), Row(2, Ran::Full), Row(3, Ran::Well)]);

    assert!(matches!(counted, Err(Fault::Full(_))), "{counted:?}");
    assert_eq!(rows, Vec::<i64>::new());
}

fn failure(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}

#[test]
fn a_commit_is_refused_for_sure_only_by_lack_of_room_a_lock_or_a_constraint() {
    assert!(matches!(
        not_committed(&failure(ffi::SQLITE_FULL)),
        Fault::Full(_)
    ));
    assert_eq!(not_committed(&failure(ffi::SQLITE_BUSY)), Fault::Busy);
    assert!(matches!(
        not_committed(&failure(ffi::SQLITE_CONSTRAINT_FOREIGNKEY)),
        Fault::Undone(_)
    ));
    for code in [
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_CORRUPT,
        ffi::SQLITE_NOTADB,
        ffi::SQLITE_NOMEM,
        ffi::SQLITE_PROTOCOL,
        ffi::SQLITE_READONLY_DBMOVED,
    ] {
        let fault = not_committed(&failure(code));
        assert!(matches!(fault, Fault::Unknown(_)), "{code}: {fault:?}");
    }
}
