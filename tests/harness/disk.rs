//! A disk that does what a test says: full, failing, or remembering what reached it and when.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::{NamedTempFile, TempDir};

static LIBRARY: OnceLock<PathBuf> = OnceLock::new();

const SOURCE: &str = include_str!("disk.c");

/// How much of the file of orders is looked at.
const ORDERS: u64 = 64;

/// The disk as a foreman sees it that was started with
/// [`Builder::on`](crate::Builder::on).
#[derive(Debug)]
pub struct Disk {
    library: PathBuf,
    directory: TempDir,
    orders: File,
}

impl Disk {
    /// Makes a disk; none where no library can be put between a program and its system.
    pub fn new() -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let orders = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(directory.path().join("orders"))
            .expect("a file of orders");
        orders.set_len(ORDERS).expect("room for orders");
        Some(Self {
            library: LIBRARY.get_or_init(compile).clone(),
            directory,
            orders,
        })
    }

    /// Lets writes find no room but that of the reserve file, or find it again.
    pub fn set_full(&self, full: bool) {
        self.order(0, &[u8::from(full)]);
    }

    /// Lets syncs fail, or work again.
    pub fn set_unsynced(&self, unsynced: bool) {
        self.order(1, &[u8::from(unsynced)]);
    }

    /// Lets reads of these bytes of the database fail.
    pub fn set_unread(&self, bytes: Range<u64>) {
        self.order(8, &bytes.start.to_ne_bytes());
        self.order(16, &bytes.end.to_ne_bytes());
        self.order(2, &[1]);
    }

    /// Sets the wall clock: so many seconds ahead of the true time, or behind it.
    pub fn set_wall_clock(&self, ahead: i64) {
        self.order(24, &ahead.to_ne_bytes());
    }

    /// Lets the n-th call from now on fail, and those after it if `onward`; counts from the start of
    /// the next program.
    pub fn set_failing(&self, nth: u64, onward: bool) {
        self.order(32, &nth.to_ne_bytes());
        self.order(40, &[u8::from(onward)]);
        self.order(48, &0_u64.to_ne_bytes());
    }

    /// Lets the program be killed in the middle of its n-th write of the database itself: while it
    /// runs, such writes are those of checkpoints.
    pub fn set_dying_in_checkpoint(&self, nth: u8) {
        self.order(41, &[nth]);
    }

    /// Returns how many calls there have been since they were counted anew.
    pub fn calls(&self) -> u64 {
        let mut bytes = [0; 8];
        self.orders.read_exact_at(&mut bytes, 48).expect("a count");
        u64::from_ne_bytes(bytes)
    }

    /// Writes a line between what reached the disk before and what will.
    pub fn mark(&self, text: &str) {
        let mut record = vec![b'M', 0, 0, 0];
        let length = u32::try_from(text.len()).expect("a short text");
        record.extend_from_slice(&length.to_ne_bytes());
        record.extend_from_slice(&0_u64.to_ne_bytes());
        record.extend_from_slice(text.as_bytes());
        let mut trace = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.trace())
            .expect("the trace");
        trace.write_all(&record).expect("a mark");
    }

    /// Returns where calls are written down.
    pub fn trace(&self) -> PathBuf {
        self.directory.path().join("trace")
    }

    /// Returns what a program needs in its environment to see this disk.
    pub fn environment(&self, database: &Path) -> [(String, String); 4] {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        [
            ("LD_PRELOAD".to_owned(), text(&self.library)),
            ("DISK_DB".to_owned(), text(database)),
            ("DISK_TRACE".to_owned(), text(&self.trace())),
            (
                "DISK_ORDERS".to_owned(),
                text(&self.directory.path().join("orders")),
            ),
        ]
    }

    fn order(&self, at: u64, bytes: &[u8]) {
        self.orders.write_all_at(bytes, at).expect("an order");
    }
}

/// Compiles the library beside the tests. A C compiler is needed for SQLite already.
fn compile() -> PathBuf {
    let tests = std::env::current_exe().expect("the program of the tests");
    let folder = tests.parent().expect("its folder");
    let library = folder.join("libforeman_disk.so");
    let mut source = tempfile::Builder::new()
        .suffix(".c")
        .tempfile_in(folder)
        .expect("a file for the source");
    source.write_all(SOURCE.as_bytes()).expect("the source");
    let made = NamedTempFile::new_in(folder).expect("a file for the library");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let status = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([made.path(), source.path()])
        .arg("-ldl")
        .status()
        .expect("a C compiler");
    assert!(status.success(), "the library does not compile");
    // Several runs of the tests may do this at once: each puts a whole one there.
    made.persist(&library).expect("the library in its place");
    library
}
