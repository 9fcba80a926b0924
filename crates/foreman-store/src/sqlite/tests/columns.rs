//! Columns that only people read.

use rusqlite::Connection;

use super::*;

/// Claims the oldest job for a reason.
async fn picked(store: &SqliteStore, reason: PickReason) -> Claimed {
    let request = ClaimRequest {
        choose: Arc::new(move |heads: &QueueHeads| {
            Some(foreman_job::Choice {
                seq: heads.oldest.seq,
                reason,
            })
        }),
        ..wish()
    };
    store.claim(request).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_job_keeps_why_it_was_picked_last_and_when_it_was_first_asked_to_stop() {
    let disk = OnDisk::default();
    let store = disk.open_store();
    accept(&store, 1).await;
    let claimed = picked(&store, PickReason::Oldest).await;
    let released = Settlement {
        outcome: Outcome::Released,
        ..done(&claimed)
    };
    store.settle(released).await.unwrap();
    let claimed = picked(&store, PickReason::Resident).await;
    for now in [5, 6] {
        let now = Timestamp::from_millis(now);
        store.cancel(claimed.job.id, now).await.unwrap();
    }
    store.settle(done(&claimed)).await.unwrap();

    let conn = Connection::open(disk.path()).unwrap();
    let kept: (String, i64) = conn
        .query_row(
            "SELECT pick_reason, cancel_requested_at FROM jobs",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(kept, ("resident".to_owned(), 5));
}
