//! Whatever is done to it, crashes included, the database behaves as the model does.
//!
//! `MODEL_CASES` says how many histories are tried.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod alone;
mod invariants;
mod op;
mod pair;

use proptest::prelude::*;

use crate::op::op;
use crate::pair::Pair;

/// As many as fit into the usual run.
const CASES: u32 = 256;

fn cases() -> u32 {
    let wanted = std::env::var("MODEL_CASES").ok();
    wanted.and_then(|it| it.parse().ok()).unwrap_or(CASES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn the_database_behaves_as_the_model(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pair = Pair::new();
            for op in ops {
                pair.apply(op).await;
            }
            pair.check().await;
        });
    }
}
