//! Which runner a request needs.

use foreman_job::RunnerKey;
use foreman_ollama::{InventorySnapshot, LoadOptions, ModelName};

use crate::residency::weights;

/// Names the runner that a request needs: its model's digest, where the inventory knows it, and the
/// load options that it gives.
pub fn runner_key(
    inventory: &InventorySnapshot,
    name: &ModelName,
    options: &LoadOptions,
) -> RunnerKey {
    RunnerKey::new(weights(inventory, name), &options.to_string())
}
