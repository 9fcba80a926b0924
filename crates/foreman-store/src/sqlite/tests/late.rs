//! Claims that are written with the end of their run, or else before anything else is done.

use std::sync::mpsc;

use foreman_job::Job;
use foreman_job::lifecycle::Epoch;
use rusqlite::Connection;
use tokio::task::JoinSet;

use super::group::{all_sent, held};
use super::*;
use crate::{Foreseen, StoreError, Withdrawal};

/// A store with job 1, and what is known of its claim before it is made.
struct Begun {
    disk: OnDisk,
    store: Arc<SqliteStore>,
    wish: ClaimRequest,
    told: Claimed,
}

impl Begun {
    /// Each change of a job is noted, beside what else is to be done to the database.
    async fn with(sql: &str, recent_requests: u64) -> Self {
        let disk = OnDisk::default();
        drop(disk.open_store());
        let conn = Connection::open(disk.path()).unwrap();
        conn.execute_batch(
            "CREATE TABLE changes (n INTEGER PRIMARY KEY, state TEXT);
             CREATE TRIGGER changes AFTER UPDATE ON jobs BEGIN
               INSERT INTO changes (state) VALUES (NEW.state);
             END;",
        )
        .unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let config = SqliteConfig {
            recent_requests,
            ..disk.config()
        };
        let store = Arc::new(SqliteStore::open(&config).unwrap());
        accept(&store, 1).await;
        let Foreseen { choice, .. } = store.foresee(&wish(), &[]).unwrap();
        let new = job(1, 10);
        let told = Claimed::first(&new.to_job(1), new.request, choice.reason, wish().now);
        let wish = ClaimRequest {
            foreseen: Some(choice),
            is_begun: true,
            ..wish()
        };
        Self {
            disk,
            store,
            wish,
            told: told.unwrap(),
        }
    }

    async fn new() -> Self {
        Self::with("", 0).await
    }

    fn changes(&self) -> Vec<String> {
        let conn = Connection::open(self.disk.path()).unwrap();
        let mut statement = conn
            .prepare("SELECT state FROM changes ORDER BY n")
            .unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap();
        found.map(Result::unwrap).collect()
    }
}

/// Commands that are written together, behind one that is held.
struct Together {
    store: Arc<SqliteStore>,
    holding: JoinSet<()>,
    release: mpsc::Sender<()>,
}

impl Together {
    async fn begin(begun: &Begun) -> Self {
        let mut holding = JoinSet::new();
        let release = held(&mut holding, &begun.store, 9).await;
        Self {
            store: Arc::clone(&begun.store),
            holding,
            release,
        }
    }

    async fn send<T, F>(&self, command: impl FnOnce(Arc<SqliteStore>) -> F) -> JoinSet<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut sent = JoinSet::new();
        sent.spawn(command(Arc::clone(&self.store)));
        all_sent().await;
        sent
    }

    async fn claim(&self, begun: &Begun) -> JoinSet<Result<Option<Claimed>, StoreError>> {
        let wish = begun.wish.clone();
        self.send(|store| async move { store.claim(wish).await })
            .await
    }

    async fn settle(&self, end: Settlement) -> JoinSet<Result<Job, StoreError>> {
        self.send(|store| async move { store.settle(end).await })
            .await
    }

    /// Has them written.
    async fn go(self) {
        drop(self.release);
        self.holding.join_all().await;
    }
}

async fn answer<T: 'static>(mut sent: JoinSet<T>) -> T {
    sent.join_next().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_claim_and_the_end_of_its_run_are_one_change() {
    for recent_requests in [0, 4096] {
        let begun = Begun::with("", recent_requests).await;
        let together = Together::begin(&begun).await;
        let claiming = together.claim(&begun).await;
        let accepting = together
            .send(|store| async move { accept(&store, 2).await })
            .await;
        let settling = together.settle(done(&begun.told)).await;
        together.go().await;

        let claimed = answer(claiming).await.unwrap().unwrap();
        assert_eq!(claimed, begun.told);
        answer(accepting).await;
        let ended = answer(settling).await.unwrap();
        assert_eq!(begun.changes(), ["done"]);
        assert_eq!(
            begun.store.job(ended.id).await.unwrap(),
            Some(ended.clone())
        );
        assert_eq!(ended.claimed_at, Some(wish().now));
        assert_eq!(ended.progress.epoch, Epoch::new(1));
        let conn = Connection::open(begun.disk.path()).unwrap();
        let kept: (Option<u32>, String) = conn
            .query_row(
                "SELECT slot, pick_reason FROM jobs WHERE seq = 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(kept, (None, PickReason::Oldest.as_str().to_owned()));
        assert_eq!(begun.store.counts().done, 1);
    }
}

#[tokio::test]
async fn a_claim_without_an_end_is_written_with_its_group() {
    let begun = Begun::new().await;
    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let accepting = together
        .send(|store| async move { accept(&store, 2).await })
        .await;
    together.go().await;

    let claimed = answer(claiming).await.unwrap().unwrap();
    answer(accepting).await;
    assert_eq!(begun.changes(), ["loading"]);
    begun.store.settle(done(&claimed)).await.unwrap();
    assert_eq!(begun.changes(), ["loading", "done"]);
}

#[tokio::test]
async fn who_comes_next_sees_the_claim() {
    let begun = Begun::new().await;
    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let id = begun.told.job.id;
    let cancelling = together
        .send(|store| async move { store.cancel(id, wish().now).await })
        .await;
    let settling = together.settle(done(&begun.told)).await;
    together.go().await;

    assert!(answer(claiming).await.unwrap().is_some());
    let withdrawn = answer(cancelling).await.unwrap();
    assert!(
        matches!(withdrawn, Withdrawal::Requested(_)),
        "{withdrawn:?}"
    );
    assert_eq!(
        answer(settling).await.unwrap().progress.state,
        JobState::Done
    );
    assert_eq!(begun.changes(), ["loading", "loading", "done"]);
}

#[tokio::test]
async fn a_run_that_is_given_back_has_been_claimed_before() {
    let begun = Begun::new().await;
    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let settling = together
        .settle(Settlement {
            outcome: Outcome::Released,
            ..done(&begun.told)
        })
        .await;
    together.go().await;

    assert!(answer(claiming).await.unwrap().is_some());
    let job = answer(settling).await.unwrap();
    assert_eq!(
        (job.progress.state, job.progress.epoch),
        (JobState::Queued, Epoch::new(1))
    );
    assert_eq!(begun.changes(), ["loading", "queued"]);
}

#[tokio::test]
async fn an_end_of_another_run_leaves_the_claim_as_it_is() {
    let begun = Begun::new().await;
    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let settling = together
        .settle(Settlement {
            epoch: Epoch::new(7),
            ..done(&begun.told)
        })
        .await;
    together.go().await;

    let claimed = answer(claiming).await.unwrap().unwrap();
    let lost = answer(settling).await;
    assert!(matches!(lost, Err(StoreError::Lost(_))), "{lost:?}");
    assert_eq!(begun.changes(), ["loading"]);
    begun.store.settle(done(&claimed)).await.unwrap();
}

/// A claim cannot be written late: found by the next command that reads, or before the commit.
async fn with_a_claim_that_cannot_be_written(next_reads: bool) {
    let begun = Begun::with(
        "CREATE TRIGGER never BEFORE UPDATE ON jobs WHEN NEW.epoch > 0 BEGIN
           SELECT RAISE(FAIL, 'no claim today');
         END;",
        4096,
    )
    .await;
    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let noting = together
        .send(|store| async move {
            if next_reads {
                store.save_note("note", "kept".into()).await.unwrap();
            }
        })
        .await;
    let accepting = together
        .send(|store| async move { accept(&store, 2).await })
        .await;
    together.go().await;

    let Err(StoreError::Database(cause)) = answer(claiming).await else {
        panic!("it was not written");
    };
    assert!(cause.to_string().contains("no claim today"), "{cause}");
    answer(accepting).await;
    answer(noting).await;
    assert_eq!(begun.changes(), [""; 0]);
    let note = begun.store.note("note").await.unwrap();
    assert_eq!(note.is_some(), next_reads);
    let counts = begun.store.counts();
    assert_eq!((counts.queued, counts.loading), (2, 0));
    let Foreseen { choice, .. } = begun.store.foresee(&wish(), &[]).unwrap();
    assert_eq!(choice.seq, 1, "it is the first one still");
}

#[tokio::test]
async fn a_claim_that_cannot_be_written_costs_nobody_else_anything() {
    with_a_claim_that_cannot_be_written(true).await;
    with_a_claim_that_cannot_be_written(false).await;
}

/// The end of a run has a status that none has.
fn impossible(claimed: &Claimed) -> Settlement {
    let mut end = done(claimed);
    if let Outcome::Done { answer } = &mut end.outcome {
        answer.head.status = 42;
    }
    end
}

#[tokio::test]
async fn an_end_that_cannot_be_written_leaves_its_claim() {
    let begun = Begun::with("", 4096).await;
    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let settling = together.settle(impossible(&begun.told)).await;
    let accepting = together
        .send(|store| async move { accept(&store, 2).await })
        .await;
    together.go().await;

    let claimed = answer(claiming).await.unwrap().unwrap();
    let refused = answer(settling).await;
    assert!(
        matches!(refused, Err(StoreError::Database(_))),
        "{refused:?}"
    );
    answer(accepting).await;
    assert_eq!(begun.changes(), ["loading"]);
    let counts = begun.store.counts();
    assert_eq!((counts.queued, counts.loading), (1, 1));
    begun.store.settle(done(&claimed)).await.unwrap();
}

#[tokio::test]
async fn a_claim_and_an_end_that_cannot_be_written_leave_the_job_in_the_queue() {
    let begun = Begun::with(
        "CREATE TRIGGER never BEFORE UPDATE ON jobs WHEN NEW.epoch > 0 BEGIN
           SELECT RAISE(FAIL, 'no claim today');
         END;",
        4096,
    )
    .await;
    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let settling = together.settle(done(&begun.told)).await;
    together.go().await;

    assert!(answer(claiming).await.is_err());
    assert!(answer(settling).await.is_err());
    let counts = begun.store.counts();
    assert_eq!((counts.queued, counts.loading, counts.done), (1, 0, 0));
    assert!(begun.store.foresee(&wish(), &[]).is_some());
}

#[tokio::test]
async fn a_job_whose_row_is_gone_is_not_claimed() {
    for with_its_end in [false, true] {
        let begun = Begun::with("", 4096).await;
        let conn = Connection::open(begun.disk.path()).unwrap();
        conn.execute_batch("DROP TRIGGER jobs_leave; DELETE FROM jobs WHERE seq = 1")
            .unwrap();
        let together = Together::begin(&begun).await;
        let claiming = together.claim(&begun).await;
        let settling = together
            .send(|store| {
                let end = done(&begun.told);
                async move { with_its_end && store.settle(end).await.is_ok() }
            })
            .await;
        together.go().await;

        assert_eq!(answer(claiming).await.unwrap(), None);
        assert!(!answer(settling).await);
        assert_eq!(begun.store.counts().loading, 0);
    }
}

#[tokio::test]
async fn a_job_that_was_accepted_a_moment_ago_is_claimed_unread() {
    for (recent_requests, model) in [(0, "damaged"), (4096, "m")] {
        let begun = Begun::with("", recent_requests).await;
        let conn = Connection::open(begun.disk.path()).unwrap();
        conn.execute_batch("UPDATE jobs SET model = 'damaged' WHERE seq = 1")
            .unwrap();

        let claimed = begun.store.claim(begun.wish.clone()).await.unwrap();

        assert_eq!(claimed.unwrap().job.model, model);
    }
}

#[tokio::test]
async fn a_second_run_and_its_end_go_on_with_the_log_of_the_first() {
    let begun = Begun::with("", 4096).await;
    let store = &begun.store;
    let first = store.claim(begun.wish.clone()).await.unwrap().unwrap();
    let log = RunLog {
        first: first.next_event,
        events: vec![LogEvent::Chunk(b"a".as_slice().into())],
    };
    let (seq, epoch) = (first.job.seq, first.job.progress.epoch);
    store.append_events(seq, epoch, log).await.unwrap();
    let released = Settlement {
        outcome: Outcome::Released,
        log: None,
        ..done(&first)
    };
    store.settle(released).await.unwrap();

    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let mut told = first.clone();
    told.job.progress.epoch = Epoch::new(2);
    // Behind its chunk, and the two events that say that it broke off.
    told.next_event = first.next_event + 3;
    let settling = together.settle(done(&told)).await;
    together.go().await;

    let second = answer(claiming).await.unwrap().unwrap();
    assert_eq!(second.next_event, told.next_event);
    answer(settling).await.unwrap();
    assert_eq!(begun.changes(), ["loading", "queued", "done"]);
}

#[tokio::test]
async fn the_second_claim_of_a_job_knows_of_the_first() {
    let begun = Begun::with("", 4096).await;
    let together = Together::begin(&begun).await;
    let claiming = together.claim(&begun).await;
    let releasing = together
        .settle(Settlement {
            outcome: Outcome::Released,
            log: None,
            ..done(&begun.told)
        })
        .await;
    let again = together.claim(&begun).await;
    let accepting = together
        .send(|store| async move { accept(&store, 2).await })
        .await;
    together.go().await;

    assert!(answer(claiming).await.unwrap().is_some());
    answer(releasing).await.unwrap();
    answer(accepting).await;
    let again = answer(again).await.unwrap().unwrap();
    assert_eq!(again.job.progress.epoch, Epoch::new(2));
    assert_eq!(begun.changes(), ["loading", "queued", "loading"]);
}
