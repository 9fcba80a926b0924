//! The model that stays loaded, whatever callers wish.

use foreman_job::RunnerKey;
use foreman_ollama::{Inventory, InventorySnapshot, ModelName};

use crate::residency::weights;

/// The embedding model, by its name and, where the target tells, by what is behind it.
#[derive(Debug)]
pub(crate) struct Pinned {
    name: ModelName,
    inventory: Inventory,
}

impl Pinned {
    /// Names the model; none where its name is none.
    pub(crate) fn new(model: &str, inventory: Inventory) -> Option<Self> {
        let name = ModelName::parse(model).ok()?;
        Some(Self { name, inventory })
    }

    /// Tells whether a runner holds the model.
    pub(crate) fn is(&self, runner: &RunnerKey) -> bool {
        weights(&self.inventory.snapshot(), &self.name) == runner.weights()
    }
}

/// Decides from two readings, one after the other, whether a model must be pinned again.
///
/// One that is gone is loaded again only when nothing has to make room for it: when nothing else is
/// loaded, or what is was loaded beside it before. Otherwise a target with a single slot would
/// throw out the model that is being drained.
pub(crate) fn needs_pin(
    name: &ModelName,
    before: &InventorySnapshot,
    now: &InventorySnapshot,
    busy: bool,
) -> bool {
    if now.degraded {
        return false;
    }
    if let Some(model) = now.resident_as(name) {
        return !model.is_pinned();
    }
    let was_beside = |name: &str| before.resident.iter().any(|model| model.name == name);
    let has_room = now.resident.is_empty()
        || (before.resident_as(name).is_some()
            && now.resident.iter().all(|model| was_beside(&model.name)));
    has_room && !busy
}

#[cfg(test)]
mod tests {
    use foreman_ollama::ResidentModel;
    use rstest::rstest;

    use super::*;

    const FOR_EVER: &str = "2319-03-03T01:40:23Z";
    const SOON: &str = "2026-11-21T01:58:06Z";

    fn reading(models: &[(&str, &str)]) -> InventorySnapshot {
        let resident = models.iter().map(|(name, expires_at)| ResidentModel {
            name: format!("{name}:latest"),
            model: String::new(),
            digest: String::new(),
            expires_at: expires_at.parse().ok(),
            size: 0,
            size_vram: 0,
            context_length: 0,
        });
        InventorySnapshot {
            resident: resident.collect(),
            ..InventorySnapshot::empty(jiff::Timestamp::UNIX_EPOCH)
        }
    }

    #[rstest]
    #[case::pinned(&[], &[("e", FOR_EVER)], false)]
    #[case::unpinned(&[], &[("e", SOON)], true)]
    #[case::unpinned_beside_another(&[], &[("a", SOON), ("e", SOON)], true)]
    #[case::all_unloaded(&[("e", FOR_EVER)], &[], true)]
    #[case::unloaded_beside_another(&[("a", SOON), ("e", FOR_EVER)], &[("a", SOON)], true)]
    #[case::evicted_for_another(&[("e", FOR_EVER)], &[("a", SOON)], false)]
    #[case::never_there(&[("a", SOON)], &[("a", SOON)], false)]
    fn a_model_is_pinned_again_where_nothing_makes_room_for_it(
        #[case] before: &[(&str, &str)],
        #[case] now: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        let name = ModelName::parse("E").unwrap();

        let found = needs_pin(&name, &reading(before), &reading(now), false);

        assert_eq!(found, expected);
    }

    #[test]
    fn while_a_job_runs_nothing_is_loaded_beside_it() {
        let name = ModelName::parse("e").unwrap();
        let unpinned = reading(&[("e", SOON)]);

        assert!(!needs_pin(&name, &unpinned, &reading(&[]), true));
        assert!(needs_pin(&name, &unpinned, &unpinned, true));
    }

    #[test]
    fn of_a_target_that_is_away_nothing_is_known() {
        let name = ModelName::parse("e").unwrap();
        let away = InventorySnapshot {
            degraded: true,
            ..reading(&[])
        };

        assert!(!needs_pin(&name, &away, &away, false));
    }
}
