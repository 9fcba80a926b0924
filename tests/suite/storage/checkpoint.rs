//! Foreman is killed while what is in the log is moved into the database.

use std::os::unix::process::ExitStatusExt as _;

use foreman_tests::{Books, Pair, chat};
use rstest::rstest;
use serde_json::json;

use super::{ended, on_disk, submit};
use crate::{A, foreman};

#[rstest]
#[case::in_the_first_page(1)]
#[case::in_the_second_page(2)]
#[case::in_a_later_page(7)]
#[tokio::test]
async fn a_death_within_a_checkpoint_loses_nothing(#[case] nth: u8) {
    let Some((disk, pair)) = on_disk().await else {
        return;
    };
    let Pair {
        stub,
        foreman: mut first,
    } = pair;
    first.post("/foreman/v1/queue/pause", &json!({})).await;
    let mut jobs = Vec::new();
    for n in 0..3 {
        jobs.push(submit(&first, &chat(A, &format!("number {n}."))).await);
    }

    // More pages than a checkpoint needs to come to its end.
    disk.set_dying_in_checkpoint(nth);
    jobs.push(submit(&first, &chat(A, &"large ".repeat(20_000))).await);
    let exit = first.exit().await;

    assert_eq!(exit.signal(), Some(9), "{exit}");
    let books = Books::of_dead(&first.database());
    assert_eq!(books.faults, Vec::<String>::new());
    assert_eq!(books.rows.len(), jobs.len());
    disk.set_dying_in_checkpoint(0);
    let second = foreman()
        .after(&first)
        .on(&disk)
        .target(&stub.url())
        .start()
        .await;
    let checked = "the last stop was not clean, database is checked";
    assert_eq!(second.log().having("message", checked).len(), 1);
    second.post("/foreman/v1/queue/resume", &json!({})).await;
    for job in &jobs {
        assert_eq!(ended(&second, job).await["state"], "done");
    }
    assert_eq!(stub.record().on("/api/chat").count(), jobs.len());
}
