//! What is done in a transaction: one file for each command of the write lane, one for all reads.

mod accept;
mod answer;
mod change;
mod claim;
mod clock;
mod note;
mod purge;
mod read;

pub(super) use accept::{accept, size as accept_size};
pub(super) use change::{cancel, settle, size as settle_size, start};
pub(super) use claim::claim;
pub(super) use clock::{due, recover};
pub(super) use note::{note, save_note};
pub(super) use purge::purge;
pub(super) use read::{answer, counts, has_ready, oldest_queued, request};

/// The statements whose cost must not depend on the length of the queue, with their indexes.
#[cfg(test)]
pub(super) fn probes() -> [(&'static str, &'static str, &'static str); 14] {
    [
        ("oldest", claim::OLDEST, "jobs_ready_oldest"),
        (
            "resident",
            claim::RESIDENT,
            "jobs_ready_runner (runner=? AND priority=?)",
        ),
        ("slot", claim::SLOT, "jobs_one_per_slot (slot=?)"),
        ("has ready", read::HAS_READY, "jobs_ready_runner (runner=?)"),
        ("oldest queued", read::OLDEST_QUEUED, "jobs_waiting"),
        ("expired", clock::EXPIRED, "jobs_expiring (expires_at<?)"),
        ("promote", clock::PROMOTE, "jobs_due (retry_at<?)"),
        ("clamp", clock::CLAMP, "jobs_due (retry_at>?)"),
        ("next retry", clock::NEXT_RETRY, "jobs_due"),
        ("next expiry", clock::NEXT_EXPIRY, "jobs_expiring"),
        ("running", clock::RUNNING, "jobs_one_per_slot"),
        ("ended", purge::ENDED, "jobs_finished (finished_at<?)"),
        (
            "with bodies",
            purge::WITH_BODIES,
            "PRIMARY KEY (finished_at<?)",
        ),
        (
            "key",
            accept::FIND_KEY,
            "jobs_idempotency (idem_scope=? AND idem_key=?)",
        ),
    ]
}
