//! The right to use a runner, and the right to one of its slots.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Scheduler;

/// Keeps a runner from leaving until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    scheduler: Arc<Scheduler>,
    id: u64,
    slots: Arc<Semaphore>,
    /// True while it has one of the slots.
    slot: bool,
}

impl Lease {
    pub(super) fn new(scheduler: Arc<Scheduler>, id: u64, slots: Arc<Semaphore>) -> Self {
        Self {
            scheduler,
            id,
            slots,
            slot: false,
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for one of the runner's slots, first come, first served.
    pub(crate) async fn take_slot(&mut self) {
        if !self.slot
            && let Ok(permit) = self.slots.acquire().await
        {
            permit.forget();
            self.slot = true;
        }
    }

    /// Ends the lease because the runner died.
    pub(crate) fn crash(self) {
        self.scheduler.crash(&self);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The slot goes first, so that the next lease holder runs before the runner leaves.
        if self.slot {
            self.slots.add_permits(1);
        }
        self.scheduler.release(self.id);
    }
}
