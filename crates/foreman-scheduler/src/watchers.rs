//! Who waits for changes of which jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foreman_job::JobId;
use tokio::sync::{Notify, watch};

/// Who waits for changes of which jobs; nothing is kept for jobs that nobody waits for.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    jobs: Mutex<BTreeMap<JobId, Watched>>,
    /// Rung when somebody begins to follow a job.
    followed: Notify,
}

/// A job that somebody waits for.
#[derive(Debug, Default)]
struct Watched {
    /// Counts the changes.
    changes: watch::Sender<u64>,
    watching: usize,
    following: usize,
}

/// What is wanted of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Its state.
    State,
    /// Everything that is added to its log.
    Log,
}

/// Somebody's interest in a job; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    id: JobId,
    interest: Interest,
    changes: watch::Receiver<u64>,
    watchers: Arc<Watchers>,
}

impl Watchers {
    /// Begins to wait for changes; those that come from now on are noticed.
    pub(crate) fn watch(self: &Arc<Self>, id: JobId, interest: Interest) -> Watch {
        let mut jobs = self.lock();
        let watched = jobs.entry(id).or_default();
        watched.watching += 1;
        let changes = watched.changes.subscribe();
        if interest == Interest::Log {
            watched.following += 1;
        }
        drop(jobs);
        if interest == Interest::Log {
            self.followed.notify_waiters();
        }
        Watch {
            id,
            interest,
            changes,
            watchers: Arc::clone(self),
        }
    }

    /// Tells that a job has changed, or its log.
    pub(crate) fn tell(&self, id: JobId) {
        if let Some(watched) = self.lock().get(&id) {
            watched
                .changes
                .send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    /// Tells whether somebody wants the log of a job.
    pub(crate) fn is_followed(&self, id: JobId) -> bool {
        self.lock()
            .get(&id)
            .is_some_and(|watched| watched.following > 0)
    }

    /// Returns the jobs whose logs somebody wants.
    pub(crate) fn followed(&self) -> Vec<JobId> {
        let is_followed = |(id, it): (&JobId, &Watched)| (it.following > 0).then_some(*id);
        self.lock().iter().filter_map(is_followed).collect()
    }

    /// Waits until somebody wants the log of a job.
    pub(crate) async fn until_followed(&self, id: JobId) {
        loop {
            let followed = self.followed.notified();
            tokio::pin!(followed);
            followed.as_mut().enable();
            if self.is_followed(id) {
                return;
            }
            followed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Watched>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Waits for a change since the last call, or since the beginning.
    pub(crate) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The sender lives as long as this does.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut jobs = self.watchers.lock();
        let Some(watched) = jobs.get_mut(&self.id) else {
            return;
        };
        watched.watching = watched.watching.saturating_sub(1);
        if self.interest == Interest::Log {
            watched.following = watched.following.saturating_sub(1);
        }
        if watched.watching == 0 {
            jobs.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use foreman_job::Timestamp;

    use super::*;
    use crate::SeededRandom;

    fn id(number: u64) -> JobId {
        JobId::generate(Timestamp::from_millis(1), &SeededRandom::new(number))
    }

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_missed() {
        let watchers = Arc::new(Watchers::default());
        let mut watch = watchers.watch(id(1), Interest::State);

        watchers.tell(id(1));

        watch.changed().await;
    }

    #[test]
    fn only_followers_want_the_log() {
        let watchers = Arc::new(Watchers::default());
        let _waiting = watchers.watch(id(1), Interest::State);
        assert!(!watchers.is_followed(id(1)));

        let follower = watchers.watch(id(1), Interest::Log);
        assert!(watchers.is_followed(id(1)) && !watchers.is_followed(id(2)));

        drop(follower);
        assert!(!watchers.is_followed(id(1)));
    }

    #[test]
    fn nothing_is_left_of_those_who_went() {
        let watchers = Arc::new(Watchers::default());
        let two = [Interest::State, Interest::Log].map(|it| watchers.watch(id(1), it));

        drop(two);

        assert!(watchers.lock().is_empty());
    }
}
