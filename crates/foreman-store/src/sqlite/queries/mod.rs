//! What is done in a transaction: one file for each command of the write lane, one for all reads.

mod accept;
mod answer;
mod change;
mod claim;
mod clock;
mod depth;
mod heads;
mod journal;
mod line;
mod list;
mod note;
mod packing;
mod purge;
mod read;

pub(super) use accept::{accept, accept_all, size as accept_size};
pub(super) use change::{append_events, cancel, settle, size as settle_size, start};
pub(super) use claim::{Taken, claim};
pub(super) use clock::{due, recover};
pub(super) use depth::{complete, depths};
pub(super) use heads::known_heads;
pub(super) use list::list;
pub(super) use note::{note, remove_note, save_note};
pub(super) use purge::{delete, purge};
pub(super) use read::{answer, counts, events, has_ready, oldest_queued, request, request_of};

/// The statements whose cost must not depend on the length of the queue, with their indexes.
#[cfg(test)]
pub(super) fn probes() -> [(&'static str, &'static str, &'static str); 20] {
    [
        (
            "first of a line",
            line::FIRST,
            "jobs_line (runner=? AND priority=? AND caller=? AND model=?)",
        ),
        (
            "newer",
            depth::NEWER,
            "COVERING INDEX jobs_line (runner=? AND priority=? AND caller=? AND model=? AND seq>?)",
        ),
        ("ready", depth::READY, "COVERING INDEX jobs_line"),
        (
            "count of the ended",
            read::ENDED,
            "COVERING INDEX jobs_taken (slot=?)",
        ),
        (
            "page",
            list::PAGE,
            "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        ("floor", list::FLOOR, "(rowid<?)"),
        ("slot", claim::SLOT, "jobs_taken (slot=?)"),
        ("has ready", read::HAS_READY, "jobs_line (runner=?)"),
        ("oldest resting", read::OLDEST_RESTING, "jobs_resting"),
        ("expired", clock::EXPIRED, "jobs_expiring (expires_at<?)"),
        ("promote", clock::PROMOTE, "jobs_due (retry_at<?)"),
        ("clamp", clock::CLAMP, "jobs_due (retry_at>?)"),
        ("next retry", clock::NEXT_RETRY, "jobs_due"),
        ("next expiry", clock::NEXT_EXPIRY, "jobs_expiring"),
        ("running", clock::RUNNING, "jobs_taken (slot>?)"),
        (
            "ended",
            purge::ENDED,
            "COVERING INDEX jobs_taken (slot=? AND emptied=? AND finished_at<?)",
        ),
        (
            "last of a log",
            journal::LAST,
            "job_events USING INDEX sqlite_autoindex_job_events_1 (seq=?)",
        ),
        (
            "part of a log",
            journal::READ,
            "job_events USING INDEX sqlite_autoindex_job_events_1 (seq=? AND n>?)",
        ),
        (
            "log of a run",
            journal::OF_RUN,
            "job_events USING INDEX sqlite_autoindex_job_events_1 (seq=?)",
        ),
        (
            "key",
            accept::FIND_KEY,
            "jobs_idempotency (idem_scope=? AND idem_key=?)",
        ),
    ]
}
