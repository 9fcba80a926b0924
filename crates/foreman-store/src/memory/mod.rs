//! A queue that lives in memory: the model of every store, and what tests run against.

mod heads;
mod journal;
mod state;
mod store;

pub use store::MemoryStore;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::QueueStore;
    use crate::contract::Subject;

    #[derive(Default)]
    struct Memory;

    impl Subject for Memory {
        fn open(&self) -> Arc<dyn QueueStore> {
            Arc::new(MemoryStore::new())
        }
    }

    crate::store_contract!(Memory);
}
