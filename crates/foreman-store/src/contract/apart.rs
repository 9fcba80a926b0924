//! Promises that what is done to one job is done to no other.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use bytes::Bytes;
use foreman_job::Job;

use super::Subject;
use super::words::{accept, asking, done, running_in, settlement, wish};
use crate::{LogEvent, QueueStore, RunLog, Settlement};

/// Each job has its log, also where the numbers of their events are alike.
pub async fn the_logs_of_jobs_do_not_mix(subject: &impl Subject) {
    let store = subject.open();
    let one = running_in(&*store, 1).await;
    let two = running_in(&*store, 2).await;
    append(&*store, &one, 2, "abcd").await;
    for (n, chunk) in (2..).zip(["e", "f", "g", "h"]) {
        append(&*store, &two, n, chunk).await;
    }

    for (after, of_one, of_two) in [
        (1, "abcd", "efgh"),
        (2, "bcd", "fgh"),
        (3, "cd", "gh"),
        (4, "d", "h"),
        (5, "", ""),
    ] {
        assert_eq!(read(&*store, &one, after).await, of_one);
        assert_eq!(read(&*store, &two, after).await, of_two);
    }
    end(&*store, &two, Some("efgh")).await;
    end(&*store, &one, Some("abcdi")).await;
    assert_eq!(answered(&*store, &one).await, ["a", "b", "c", "d", "i"]);
    assert_eq!(answered(&*store, &two).await, ["e", "f", "g", "h"]);
}

/// A job that has said nothing yet begins at the beginning, whatever others have said.
pub async fn a_new_job_has_nothing_of_others(subject: &impl Subject) {
    let store = subject.open();
    let one = running_in(&*store, 1).await;
    append(&*store, &one, 2, "abcd").await;
    end(&*store, &one, Some("abcd")).await;

    accept(&*store, asking("a", 1)).await;
    let two = store.claim(wish(2)).await.expect("claims");
    let two = two.expect("a job is ready");

    assert_eq!(two.next_event, 2);
    assert_eq!(store.answer(two.job.id).await.expect("reads"), None);
    let page = store.events(two.job.id, 0, 9).await.expect("reads");
    let page = page.expect("the job is there");
    assert_eq!((page.entries.len(), page.pruned), (1, false));
}

/// A run that ends without its log takes no other with it.
pub async fn a_log_that_is_not_kept_is_the_only_one(subject: &impl Subject) {
    let store = subject.open();
    let one = running_in(&*store, 1).await;
    let two = running_in(&*store, 2).await;
    for job in [&one, &two] {
        append(&*store, job, 2, "ab").await;
    }

    end(&*store, &two, None).await;

    assert_eq!(read(&*store, &one, 1).await, "ab");
    assert_eq!(read(&*store, &two, 1).await, "");
}

/// A log of chunks of one letter each.
fn letters(first: u64, chunks: &str) -> RunLog {
    let chunk = |letter: char| LogEvent::Chunk(Bytes::from(letter.to_string()));
    RunLog {
        first,
        events: chunks.chars().map(chunk).collect(),
    }
}

async fn append(store: &dyn QueueStore, job: &Job, first: u64, chunks: &str) {
    let log = letters(first, chunks);
    let appended = store.append_events(job.seq, job.progress.epoch, log);
    appended.await.expect("appends");
}

async fn end(store: &dyn QueueStore, job: &Job, chunks: Option<&str>) {
    let settlement = Settlement {
        log: chunks.map(|chunks| letters(2, chunks)),
        ..settlement(job, job.progress.epoch, 9, done())
    };
    store.settle(settlement).await.expect("settles");
}

/// Reads the letters of a log.
async fn read(store: &dyn QueueStore, job: &Job, after: u64) -> String {
    let page = store.events(job.id, after, 99).await.expect("reads");
    let entries = page.expect("the job is there").entries;
    let letter = |event| match event {
        LogEvent::Chunk(bytes) => String::from_utf8(bytes.into()).ok(),
        LogEvent::State(_) | LogEvent::Reset | LogEvent::End { .. } => None,
    };
    let letters = entries.into_iter().filter_map(|entry| letter(entry.event));
    letters.collect()
}

async fn answered(store: &dyn QueueStore, job: &Job) -> Vec<Bytes> {
    let answer = store.answer(job.id).await.expect("reads");
    answer.expect("is kept").chunks
}
