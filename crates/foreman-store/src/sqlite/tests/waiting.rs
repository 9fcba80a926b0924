//! Claims that wait for a job.

use std::sync::mpsc;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::group::{all_sent, held};
use super::*;
use crate::StoreError;

/// A claim that waits, and what ends its patience.
struct Waiting {
    tasks: JoinSet<Result<Option<Claimed>, StoreError>>,
    enough: Option<oneshot::Sender<()>>,
}

impl Waiting {
    /// Returns when the claim has found nothing.
    async fn begin(store: &Arc<SqliteStore>) -> Self {
        let waiting = Self::sent(store).await;
        // Answered after it, whatever they share.
        assert_eq!(store.claim(wish()).await.unwrap(), None);
        waiting
    }

    async fn sent(store: &Arc<SqliteStore>) -> Self {
        let (enough, until) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let claiming = Arc::clone(store);
        tasks.spawn(async move { claiming.claim_arrival(wish(), until).await });
        all_sent().await;
        Self {
            tasks,
            enough: Some(enough),
        }
    }

    async fn end(mut self) -> Option<Claimed> {
        self.tasks.join_next().await.unwrap().unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_job_is_claimed_in_the_transaction_that_accepts_it() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    let waiting = Waiting::begin(&store).await;
    let before = store.stats().commits;

    accept(&store, 1).await;
    let claimed = waiting.end().await.unwrap();

    assert_eq!(store.stats().commits, before + 1);
    assert_eq!(claimed.request, Some(job(1, 10).request));
    assert_eq!(claimed.job.progress.state, JobState::Loading);
    assert_eq!((store.counts().queued, store.counts().loading), (0, 1));
    store.settle(done(&claimed)).await.unwrap();
}

/// Behind a held command the only job is cancelled, a claim waits, and job 2 is accepted.
async fn with_an_arrival(
    tasks: &mut JoinSet<()>,
    store: &Arc<SqliteStore>,
) -> (mpsc::Sender<()>, Waiting) {
    let release = held(tasks, store, 1).await;
    let cancelling = Arc::clone(store);
    tasks.spawn(async move {
        cancelling.cancel(job(1, 10).id, wish().now).await.unwrap();
    });
    all_sent().await;
    let waiting = Waiting::sent(store).await;
    let accepting = Arc::clone(store);
    tasks.spawn(async move { accept(&accepting, 2).await });
    all_sent().await;
    (release, waiting)
}

#[tokio::test]
async fn a_job_that_comes_with_the_claim_and_after_it_is_not_missed() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    accept(&store, 1).await;
    let mut tasks = JoinSet::new();
    let (release, claiming) = with_an_arrival(&mut tasks, &store).await;
    let before = store.stats().commits;
    drop(release);

    assert_eq!(claiming.end().await.unwrap().job.id, job(2, 10).id);
    tasks.join_all().await;
    // All of it goes with the one that was held.
    assert_eq!(store.stats().commits, before + 1);
}

#[tokio::test]
async fn a_run_can_end_in_the_commit_that_accepts_and_claims_its_job() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    accept(&store, 1).await;
    let mut tasks = JoinSet::new();
    let mut ending = JoinSet::new();
    let (release, claiming) = with_an_arrival(&mut tasks, &store).await;
    let new = job(2, 10);
    let (reason, now) = (PickReason::Oldest, wish().now);
    let foreseen = Claimed::first(&new.to_job(0), new.request, reason, now).unwrap();
    let settlement = Settlement {
        seq: None,
        ..done(&foreseen)
    };
    let settling = Arc::clone(&store);
    ending.spawn(async move { settling.settle(settlement).await });
    all_sent().await;
    let before = store.stats().commits;
    drop(release);

    assert_eq!(claiming.end().await.unwrap().job.id, job(2, 10).id);
    tasks.join_all().await;
    let ended = ending.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(ended.progress.state, JobState::Done);
    assert_eq!(store.stats().commits, before + 1);
    let answer = store.answer(job(2, 10).id).await.unwrap();
    assert_eq!(answer.unwrap().chunks.concat(), b"{}");
}

#[tokio::test]
async fn a_claim_that_has_waited_enough_gets_nothing_and_takes_nothing() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    let mut waiting = Waiting::begin(&store).await;

    drop(waiting.enough.take());
    assert_eq!(waiting.end().await, None);

    accept(&store, 1).await;
    assert_eq!((store.counts().queued, store.counts().loading), (1, 0));
}

#[tokio::test]
async fn a_claim_whose_caller_has_gone_takes_nothing() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    let mut waiting = Waiting::begin(&store).await;

    waiting.tasks.shutdown().await;
    accept(&store, 1).await;

    assert_eq!((store.counts().queued, store.counts().loading), (1, 0));
}

#[tokio::test]
async fn a_claim_goes_on_waiting_when_the_acceptance_is_undone() {
    let disk = OnDisk::default();
    let config = SqliteConfig {
        max_pages: Some(100),
        idle: Duration::from_hours(1),
        ..disk.config()
    };
    let store = Arc::new(SqliteStore::open(&config).unwrap());
    let waiting = Waiting::begin(&store).await;

    let refused = store.accept(job(1, 1_000_000)).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!((store.counts().queued, store.counts().loading), (0, 0));
    drop(waiting.enough);

    let mut tasks = waiting.tasks;
    assert_eq!(tasks.join_next().await.unwrap().unwrap().unwrap(), None);
}

#[tokio::test]
async fn a_claim_notes_no_time_before_the_acceptance() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    let waiting = Waiting::begin(&store).await;
    let later = wish().now.saturating_add(Duration::from_secs(9));

    let new = NewJob {
        created_at: later,
        ..job(1, 10)
    };
    store.accept(new).await.unwrap();

    assert_eq!(waiting.end().await.unwrap().job.claimed_at, Some(later));
}

#[tokio::test]
async fn a_claim_that_waits_hears_of_the_end_of_the_store() {
    let disk = OnDisk::default();
    let store = Arc::new(disk.open_store());
    let waiting = Waiting::begin(&store).await;

    store.close().await.unwrap();

    let mut tasks = waiting.tasks;
    let heard = tasks.join_next().await.unwrap().unwrap();
    assert!(matches!(heard, Err(StoreError::Closed)), "{heard:?}");
}
