//! Keeps the last inventory of the target across restarts.

use std::sync::Arc;

use foreman_ollama::{Inventory, InventorySnapshot};
use foreman_store::{QueueStore, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::classify;
use crate::handle::Shared;

/// The name under which it is kept.
const NOTE: &str = "inventory";

/// Reads the inventory that the last life kept; none when there is none that can be read.
///
/// # Errors
///
/// What the store says.
pub async fn last_inventory(
    store: &dyn QueueStore,
) -> Result<Option<InventorySnapshot>, StoreError> {
    let Some(bytes) = store.note(NOTE).await? else {
        return Ok(None);
    };
    match InventorySnapshot::from_bytes(&bytes) {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(error) => {
            // It is only a memory: the first poll makes a new one.
            warn!(
                error = classify::chain(&error),
                "the last inventory cannot be read"
            );
            Ok(None)
        }
    }
}

/// Saves each inventory that differs from the last, until the scheduler stops.
pub(crate) async fn run(shared: Arc<Shared>, inventory: Inventory, stop: CancellationToken) {
    let mut changes = inventory.subscribe();
    let mut saved: Option<Arc<InventorySnapshot>> = None;
    loop {
        let snapshot = inventory.snapshot();
        let is_known = saved.as_ref().is_some_and(|saved| same(saved, &snapshot));
        if snapshot.last_poll.is_some() && !snapshot.degraded && !is_known {
            save(&shared, &snapshot).await;
            // One that cannot be kept is not tried again: the next one comes soon.
            saved = Some(snapshot);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            change = changes.changed() => if change.is_err() { return },
        }
    }
}

async fn save(shared: &Shared, snapshot: &InventorySnapshot) {
    if let Err(error) = shared.store.save_note(NOTE, snapshot.to_bytes()).await {
        warn!(error = classify::chain(&error), "cannot keep the inventory");
    }
}

/// Tells whether two inventories answer callers alike; the time of the poll does not matter.
fn same(one: &InventorySnapshot, other: &InventorySnapshot) -> bool {
    one.tags == other.tags && one.version == other.version && one.v1_models == other.v1_models
}
