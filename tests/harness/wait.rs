//! Waiting for conditions, with a deadline that only a broken test meets.

use std::time::Duration;

/// Nothing in a healthy run takes this long, on however busy a machine.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// How often a condition that nobody signals is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Waits for a future, and fails the test when it takes too long.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(DEADLINE, future).await else {
        panic!("timed out: {what}");
    };
    value
}

/// Waits until a condition holds.
pub async fn eventually<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    within(what, async {
        while !condition().await {
            tokio::time::sleep(LOOK).await;
        }
    })
    .await;
}
