//! Promises about the log of a job.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by a panic"
)]

use bytes::Bytes;
use foreman_job::{Job, JobId, JobState};

use super::Subject;
use super::words::{
    accept, asking, at, claim_any, done, failed, failure, read, retry, settle, settlement,
};
use crate::{
    Claimed, LogEntry, LogEvent, LogGap, LogPage, Outcome, Purge, QueueStore, RunLog, Settlement,
    StoreError, Withdrawal,
};

/// Before a job is claimed, its log says that it waits.
pub async fn a_log_begins_with_the_acceptance(subject: &impl Subject) {
    let store = subject.open();
    let new = asking("a", 1);
    accept(&*store, new.clone()).await;

    let page = page(&*store, new.id, 0, 9).await;

    assert_eq!(told(&page), ["1 queued"]);
    assert!(!page.is_last() && !page.pruned);
    assert_eq!(page.job.id, new.id);
    assert!(events(&*store, new.id, 1).await.is_empty());
    let unknown = store.events(asking("a", 1).id, 0, 9).await;
    assert_eq!(unknown.expect("reads"), None);
}

/// What was appended and what came with the settlement is one dense log.
pub async fn appended_events_are_numbered_on_from_the_last(subject: &impl Subject) {
    let store = subject.open();
    let claimed = claimed(&*store).await;
    assert_eq!(claimed.next_event, 2);

    append(&*store, &claimed.job, 2, &["loading"]).await;
    let last = append(&*store, &claimed.job, 3, &["working", "+a", "+b"]).await;
    assert_eq!(last, 5);
    end(&*store, &claimed.job, 6, &["+c"], done()).await;

    let id = claimed.job.id;
    let log = [
        "1 queued",
        "2 loading",
        "3 working",
        "4 +a",
        "5 +b",
        "6 +c",
        "7 end done",
    ];
    assert_eq!(events(&*store, id, 0).await, log);
    assert_eq!(events(&*store, id, 4).await, log[4..]);
    assert_eq!(events(&*store, id, 6).await, log[6..]);
    let answer = store.answer(id).await.expect("reads").expect("is kept");
    assert_eq!(answer.chunks, ["a", "b", "c"].map(Bytes::from));
}

/// The end of a log is told to whoever asks for more.
pub async fn past_its_end_a_log_ends_at_once(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;
    end(&*store, &job, 2, &["+a"], failed(None)).await;

    for after in [2, 3, 1000] {
        let page = page(&*store, job.id, after, 9).await;

        assert!(page.is_last());
        let event = LogEvent::End {
            state: JobState::Failed,
            failure: Some(failure()),
        };
        assert_eq!(page.entries, [entry(3, 1, event)]);
    }
}

/// Nobody knows after a broken call whether it took effect, so it can be made again.
pub async fn events_that_are_there_are_passed_over(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;

    append(&*store, &job, 2, &["loading", "+a"]).await;
    assert_eq!(append(&*store, &job, 2, &["loading", "+a"]).await, 3);
    assert_eq!(append(&*store, &job, 3, &["+a", "+b"]).await, 4);
    assert_eq!(append(&*store, &job, 2, &["loading"]).await, 4);
    let all = ["loading", "+a", "+b", "+c"];
    end(&*store, &job, 2, &all, done()).await;

    assert_eq!(
        events(&*store, job.id, 1).await,
        ["2 loading", "3 +a", "4 +b", "5 +c", "6 end done"]
    );
}

/// A log has no holes.
pub async fn events_that_do_not_follow_are_refused(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;

    let gap = store.append_events(job.seq, job.progress.epoch, run_log(3, &["+b"]));
    let gap = gap.await;

    let reason = match &gap {
        Err(StoreError::Database(source)) => source.downcast_ref(),
        _ => None,
    };
    assert_eq!(reason, Some(&LogGap { first: 3, last: 1 }), "{gap:?}");
    assert_eq!(events(&*store, job.id, 0).await, ["1 queued"]);
}

/// A run that was replaced, or has ended, adds nothing.
pub async fn only_the_present_run_adds_events(subject: &impl Subject) {
    let store = subject.open();
    let first = claimed(&*store).await.job;
    settle(&*store, &first, 3, retry(None)).await;
    let queued = append_as(&*store, &first, &first).await;
    let second = claim_any(&*store, 4).await.expect("is ready").job;
    let late = append_as(&*store, &second, &first).await;
    end(&*store, &second, 2, &[], done()).await;
    let ended = append_as(&*store, &second, &second).await;

    for refused in [queued, late, ended] {
        assert!(matches!(refused, Err(StoreError::Lost(_))), "{refused:?}");
    }
    assert_eq!(
        events(&*store, first.id, 0).await,
        ["1 queued", "2 end done"]
    );
}

/// Who has seen a part of a run is told that it does not count.
pub async fn a_run_that_breaks_off_is_reset_if_it_was_logged(subject: &impl Subject) {
    let store = subject.open();
    let unlogged = claimed(&*store).await.job;
    end(&*store, &unlogged, 2, &["loading", "+a"], retry(None)).await;
    let logged = claim_any(&*store, 4).await.expect("is ready");
    assert_eq!(logged.next_event, 2);

    append(&*store, &logged.job, 2, &["loading", "+b"]).await;
    end(&*store, &logged.job, 4, &["+lost"], retry(None)).await;
    let last = claim_any(&*store, 5).await.expect("is ready");
    assert_eq!(last.next_event, 6);
    end(&*store, &last.job, 6, &["+c"], done()).await;

    let entries = page(&*store, last.job.id, 0, 99).await.entries;
    let attempts: Vec<u32> = entries.iter().map(|entry| entry.attempt).collect();
    assert_eq!(attempts, [0, 1, 1, 2, 2, 2, 2]);
    assert_eq!(
        events(&*store, last.job.id, 0).await,
        [
            "1 queued",
            "2 loading",
            "3 +b",
            "4 reset",
            "5 queued",
            "6 +c",
            "7 end done"
        ]
    );
    let answer = store.answer(last.job.id).await.expect("reads");
    assert_eq!(answer.expect("is kept").chunks, [Bytes::from("c")]);
}

/// A retry that meets a wish to cancel is the end.
pub async fn a_run_that_ends_by_a_wish_keeps_what_it_logged(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;
    append(&*store, &job, 2, &["loading", "+a"]).await;
    let wish = store.cancel(job.id, at(4)).await.expect("cancels");
    assert!(matches!(wish, Withdrawal::Requested(_)), "{wish:?}");

    end(&*store, &job, 2, &["loading", "+a", "+b"], retry(None)).await;

    assert_eq!(
        events(&*store, job.id, 1).await,
        ["2 loading", "3 +a", "4 +b", "5 end cancelled"]
    );
    assert_eq!(store.answer(job.id).await.expect("reads"), None);
}

/// A recovered job is told as one whose run broke off.
pub async fn recovery_resets_what_was_logged(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;
    append(&*store, &job, 2, &["loading", "working", "+a"]).await;

    for _ in 0..2 {
        store.recover(at(9), at(9)).await.expect("recovers");
    }

    assert_eq!(
        events(&*store, job.id, 2).await,
        ["3 working", "4 +a", "5 reset", "6 queued"]
    );
    let again = claim_any(&*store, 10).await.expect("is ready");
    assert_eq!(again.next_event, 7);
}

/// A job that ends in the queue has a log too.
pub async fn a_job_that_never_ran_has_an_end(subject: &impl Subject) {
    let store = subject.open();
    let new = asking("a", 1);
    accept(&*store, new.clone()).await;

    store.cancel(new.id, at(2)).await.expect("cancels");

    assert_eq!(
        events(&*store, new.id, 0).await,
        ["1 queued", "2 end cancelled"]
    );
}

/// Readers take a log in parts, and get all of it.
pub async fn a_log_is_read_in_pages(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;
    let chunks: Vec<String> = (0..100).map(|n| format!("+{n}")).collect();
    for (n, chunk) in (2..).zip(&chunks) {
        append(&*store, &job, n, &[chunk]).await;
    }
    end(&*store, &job, 102, &["+last"], done()).await;

    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |entry: &LogEntry| entry.n);
        let page = page(&*store, job.id, after, 7).await;
        assert!(page.entries.len() <= 9, "{}", page.entries.len());
        let is_last = page.is_last();
        all.extend(page.entries);
        if is_last {
            break;
        }
    }

    let numbers: Vec<u64> = all.iter().map(|entry| entry.n).collect();
    assert_eq!(numbers, (1..=103).collect::<Vec<_>>());
}

/// A page is bounded in bytes as well.
pub async fn large_chunks_make_short_pages(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;
    let chunk = LogEvent::Chunk(Bytes::from(vec![b'x'; 400_000]));
    let log = RunLog {
        first: 2,
        events: vec![chunk; 10],
    };
    let epoch = job.progress.epoch;
    store
        .append_events(job.seq, epoch, log)
        .await
        .expect("appends");

    let page = page(&*store, job.id, 1, 99).await;

    assert_eq!(page.entries.len(), 3);
}

/// Where bodies are not kept, the head of the answer is.
pub async fn a_run_can_end_without_a_log(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;
    append(&*store, &job, 2, &["loading", "+a"]).await;
    let nothing = Settlement {
        log: None,
        ..settlement(&job, job.progress.epoch, 9, done())
    };

    store.settle(nothing).await.expect("settles");

    assert!(page(&*store, job.id, 0, 9).await.pruned);
    let answer = store.answer(job.id).await.expect("reads");
    assert!(answer.expect("the head is kept").chunks.is_empty());
}

/// A purged log says so instead of telling a part of the story.
pub async fn a_purged_log_says_so(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;
    end(&*store, &job, 2, &["+a"], done()).await;

    let purge = Purge {
        bodies_before: at(100),
        jobs_before: at(0),
        limit: 9,
    };
    store.purge(purge).await.expect("purges");
    accept(&*store, asking("a", 1)).await;

    let page = page(&*store, job.id, 0, 9).await;
    assert!(page.pruned);
    assert_eq!(told(&page), ["1 queued", "2 end done"]);
    assert_eq!(read(&*store, job.id).await.progress.state, JobState::Done);
}

/// What was appended survives, and so does its numbering.
pub async fn appended_events_are_there_after_a_crash(subject: &impl Subject) {
    let store = subject.open();
    let job = claimed(&*store).await.job;
    append(&*store, &job, 2, &["loading", "+a"]).await;

    drop(store);
    let store = subject.open();
    store.recover(at(9), at(9)).await.expect("recovers");

    let log = ["1 queued", "2 loading", "3 +a", "4 reset", "5 queued"];
    assert_eq!(events(&*store, job.id, 0).await, log);
    let again = claim_any(&*store, 10).await.expect("is ready");
    assert_eq!(again.next_event, 6);
}

async fn claimed(store: &dyn QueueStore) -> Claimed {
    accept(store, asking("a", 1)).await;
    claim_any(store, 2).await.expect("a job is ready")
}

fn run_log(first: u64, words: &[&str]) -> RunLog {
    let event = |word: &&str| match word.strip_prefix('+') {
        Some(chunk) => LogEvent::Chunk(Bytes::from(chunk.to_owned())),
        None => LogEvent::State(word.parse().expect("a state")),
    };
    RunLog {
        first,
        events: words.iter().map(event).collect(),
    }
}

async fn append(store: &dyn QueueStore, job: &Job, first: u64, words: &[&str]) -> u64 {
    store
        .append_events(job.seq, job.progress.epoch, run_log(first, words))
        .await
        .expect("appends")
}

/// Adds an event to a job in the name of the run of another.
async fn append_as(store: &dyn QueueStore, job: &Job, run: &Job) -> Result<u64, StoreError> {
    let log = run_log(2, &["+late"]);
    store.append_events(job.seq, run.progress.epoch, log).await
}

async fn end(store: &dyn QueueStore, job: &Job, first: u64, words: &[&str], outcome: Outcome) {
    let settlement = Settlement {
        log: Some(run_log(first, words)),
        ..settlement(job, job.progress.epoch, 9, outcome)
    };
    store.settle(settlement).await.expect("settles");
}

async fn page(store: &dyn QueueStore, id: JobId, after: u64, limit: usize) -> LogPage {
    let page = store.events(id, after, limit).await.expect("reads");
    page.expect("the job is there")
}

async fn events(store: &dyn QueueStore, id: JobId, after: u64) -> Vec<String> {
    told(&page(store, id, after, 99).await)
}

fn told(page: &LogPage) -> Vec<String> {
    let tell = |entry: &LogEntry| match &entry.event {
        LogEvent::State(state) => format!("{} {state}", entry.n),
        LogEvent::Reset => format!("{} reset", entry.n),
        LogEvent::Chunk(bytes) => format!("{} +{}", entry.n, String::from_utf8_lossy(bytes)),
        LogEvent::End { state, .. } => format!("{} end {state}", entry.n),
    };
    page.entries.iter().map(tell).collect()
}

const fn entry(n: u64, attempt: u32, event: LogEvent) -> LogEntry {
    LogEntry { n, attempt, event }
}
