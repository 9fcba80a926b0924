//! Calls that one of the two stores gets alone, and calls that fail.

use bytes::Bytes;
use foreman_store::faulty::Fault;
use foreman_store::{Purge, QueueStore, StoreError};

use crate::op::Call;
use crate::pair::{Pair, epoch, run_log};

impl Pair {
    /// Does something that fails: before it has done anything, or after it did everything.
    pub(crate) async fn fails(&mut self, call: Call, fault: Fault) {
        let before = self.system().calls();
        self.system().fail(0, fault);
        let failed = self.alone(self.system(), &call).await;
        if self.system().calls() == before {
            // There was no job for it.
            return self.system().forget_fault();
        }
        match fault {
            Fault::Before => assert!(
                matches!(failed, Err(StoreError::Database(_))),
                "{call:?}: {failed:?}"
            ),
            Fault::After => {
                assert!(
                    matches!(failed, Err(StoreError::Unknown(_))),
                    "{call:?}: {failed:?}"
                );
                self.assert_refuses(&call).await;
                // Whatever the model says to it, the database said the same to nobody.
                drop(self.alone(&self.model, &call).await);
                self.know(&call);
                self.die().await;
            }
        }
    }

    /// Whatever it is asked, it answers that it has failed.
    async fn assert_refuses(&self, call: &Call) {
        let again = self.alone(self.system(), call).await;
        assert!(matches!(again, Err(StoreError::Failed(_))), "{again:?}");
    }

    /// Does something to one of the two.
    pub(crate) async fn alone(
        &self,
        store: &dyn QueueStore,
        call: &Call,
    ) -> Result<(), StoreError> {
        let now = self.at(0);
        match *call {
            Call::Accept {
                model,
                priority,
                key,
                expires_in,
            } => {
                let job = self.asked(model, priority, key, expires_in);
                store.accept(job).await.map(drop)
            }
            Call::Claim {
                slot,
                ref resident,
                paused,
            } => store
                .claim(self.wish(slot, resident, paused))
                .await
                .map(drop),
            Call::Cancel { job } => match self.accepted.get(job) {
                Some(id) => store.cancel(*id, now).await.map(drop),
                None => Ok(()),
            },
            Call::Delete { job } => match self.accepted.get(job) {
                Some(id) => store.delete(*id, now).await.map(drop),
                None => Ok(()),
            },
            Call::Due => store.due(now).await.map(drop),
            Call::Purge {
                bodies_age,
                jobs_age,
                limit,
            } => {
                let purge = Purge {
                    bodies_before: self.at(-bodies_age),
                    jobs_before: self.at(-jobs_age),
                    limit,
                };
                store.purge(purge).await.map(drop)
            }
            Call::Note { value } => {
                let value = Bytes::from(vec![value; 3]);
                store.save_note("note", value).await
            }
            Call::Start { .. } | Call::Append { .. } | Call::Settle { .. } => {
                self.of_a_run(store, call).await
            }
        }
    }

    /// What the run of a job does.
    async fn of_a_run(&self, store: &dyn QueueStore, call: &Call) -> Result<(), StoreError> {
        match *call {
            Call::Start { job, late } => match self.job(job).await {
                Some(job) => store.start(job.seq, epoch(&job, late), self.at(0)).await,
                None => Ok(()),
            },
            Call::Append {
                job,
                late,
                first,
                events,
            } => match self.job(job).await {
                Some(job) => {
                    let log = run_log(first, events);
                    let appended = store.append_events(job.seq, epoch(&job, late), log);
                    appended.await.map(drop)
                }
                None => Ok(()),
            },
            Call::Settle {
                job,
                late,
                outcome,
                logged,
            } => match self.job(job).await {
                Some(job) => {
                    let settlement = self.settlement(&job, late, outcome, logged);
                    store.settle(settlement).await.map(drop)
                }
                None => Ok(()),
            },
            Call::Accept { .. }
            | Call::Claim { .. }
            | Call::Delete { .. }
            | Call::Cancel { .. }
            | Call::Due
            | Call::Purge { .. }
            | Call::Note { .. } => Ok(()),
        }
    }

    /// Remembers the name of a job that was accepted, whoever was told.
    fn know(&mut self, call: &Call) {
        if let Call::Accept {
            model,
            priority,
            key,
            expires_in,
        } = *call
        {
            let job = self.asked(model, priority, key, expires_in);
            self.accepted.push(job.id);
        }
    }
}
