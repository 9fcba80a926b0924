//! What the machine says about processes, disks and itself.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::load::within;

/// Clock ticks per second in what the kernel tells of processes.
const TICKS: u64 = 100;

/// Returns the time that a process has computed so far, all its threads together.
pub(crate) fn cpu(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    // The name comes first, and may hold anything.
    let (_, rest) = text.rsplit_once(')').expect("a name");
    let fields: Vec<u64> = rest
        .split_whitespace()
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    let ticks: u64 = fields.iter().skip(11).take(2).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// Returns the resident memory of a process in bytes.
pub(crate) fn memory(pid: u32) -> u64 {
    field(pid, "VmRSS:")
}

/// Returns the largest resident memory that a process has had.
pub(crate) fn peak(pid: u32) -> u64 {
    field(pid, "VmHWM:")
}

/// Begins to measure the largest resident memory anew.
pub(crate) fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("reset the peak");
}

fn field(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.expect("a size") * 1024
}

/// Measures how long the disk takes to make an appended block durable.
pub(crate) fn fdatasync(directory: &Path) -> Duration {
    const TIMES: usize = 100;
    let path = directory.join("probe");
    let mut file = File::create(&path).expect("a file");
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            file.write_all(&[7; 4096]).expect("write");
            let began = Instant::now();
            file.sync_data().expect("sync");
            began.elapsed()
        })
        .collect();
    fs::remove_file(path).expect("remove the file");
    times.sort_unstable();
    within(&times, 0.5)
}

/// Describes the machine in a line.
pub(crate) fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let count = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{count} cores ({model}), load {load} at the beginning")
}

/// Nanoseconds of a day.
const DAY: u64 = 86_400_000_000_000;

/// A time of day, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeOfDay(u64);

impl TimeOfDay {
    /// Returns the present time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the chunks of an answer have the time of the wall clock"
    )]
    pub(crate) fn now() -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("a time after 1970");
        let now = now.as_nanos() % u128::from(DAY);
        Self(u64::try_from(now).expect("a time of day"))
    }

    /// Returns when the target wrote a chunk, which stands in it.
    pub(crate) fn of(chunk: &[u8]) -> Self {
        let text = std::str::from_utf8(chunk).expect("a chunk of text");
        let (_, after) = text.split_once("\"created_at\":\"").expect("a time");
        let (time, _) = after.split_once('Z').expect("a time in UTC");
        let (_, clock) = time.split_once('T').expect("a time of day");
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let seconds = clock.split(':').fold(0, |sum: u64, part| {
            sum * 60 + part.parse::<u64>().expect("a number")
        });
        let nanos: u64 = format!("{fraction:0<9}").parse().expect("a fraction");
        Self(seconds * 1_000_000_000 + nanos)
    }

    /// Returns the time since an earlier one.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos((self.0 + DAY - earlier.0) % DAY)
    }
}
