//! Changes of what the target has that went through foreman and are not in the inventory yet.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foreman_ollama::Inventory;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Counts changes under way, so that a caller finds its own change in the next list.
#[derive(Clone)]
pub(crate) struct Changes {
    open: Arc<AtomicUsize>,
    inventory: Inventory,
    tasks: TaskTracker,
    runtime: Handle,
}

/// A change under way; dropped when its answer has ended, and over when the target was polled then.
pub(crate) struct OpenChange(Changes);

impl Changes {
    pub(crate) fn new(inventory: Inventory, tasks: TaskTracker, runtime: Handle) -> Self {
        Self {
            open: Arc::default(),
            inventory,
            tasks,
            runtime,
        }
    }

    /// Begins a change.
    pub(crate) fn begin(&self) -> OpenChange {
        self.open.fetch_add(1, Ordering::AcqRel);
        OpenChange(self.clone())
    }

    /// Tells whether the inventory may lack a change.
    pub(crate) fn any(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }
}

impl Drop for OpenChange {
    fn drop(&mut self) {
        let Changes {
            open,
            inventory,
            tasks,
            runtime,
        } = self.0.clone();
        tasks.spawn_on(
            async move {
                if let Err(error) = inventory.refresh().await {
                    tracing::debug!(%error, "no poll after a change");
                }
                open.fetch_sub(1, Ordering::AcqRel);
            },
            &runtime,
        );
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
