//! Keeps what is known of the target: its models, its version, what it has loaded.

mod inventory;
mod saved;
mod snapshot;
#[cfg(test)]
mod tests;

pub use inventory::{Inventory, Poller, PollerConfig, WallClock};
pub use saved::SnapshotError;
pub use snapshot::{InventorySnapshot, ModelEntry};
