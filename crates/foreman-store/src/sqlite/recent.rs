//! Jobs that were accepted a moment ago, so that a quick claim reads neither them nor their requests.
//!
//! The database has them too, and is asked for all others: after a restart, for large ones, and
//! for jobs that wait in a long queue. What is damaged there meanwhile harms none of these: they run
//! as they were accepted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foreman_job::{Choice, Job, Timestamp};

use crate::{Claimed, NewJob, StoredRequest};

/// A larger request takes so long to be answered that reading it once more does not count.
const LARGEST: usize = 64 * 1024;

/// What an entry costs besides its text, roughly.
const ENTRY: usize = 768;

/// The latest jobs by their place in the queue, as many as there is room for.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    state: Arc<Mutex<State>>,
    room: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<i64, Kept>,
    size: usize,
}

#[derive(Debug, Clone)]
struct Kept {
    /// As it was accepted, until its first claim.
    job: Option<Job>,
    request: StoredRequest,
}

impl Recent {
    /// Makes room for so many bytes.
    pub(super) fn new(room: u64) -> Self {
        Self {
            state: Arc::default(),
            room: usize::try_from(room).unwrap_or(usize::MAX),
        }
    }

    /// Keeps a job that takes this place, and forgets what was kept for it before: the place is
    /// given again when its transaction does not commit.
    pub(super) fn keep(&self, seq: i64, job: &NewJob) {
        let request = &job.request;
        if self.room == 0 {
            return;
        }
        // A copy: what came in shares its memory with all that its connection has read.
        let kept = (size(request) <= LARGEST).then(|| Kept {
            job: Some(job.to_job(seq)),
            request: StoredRequest {
                headers: Arc::clone(&request.headers),
                body: Bytes::copy_from_slice(&request.body),
            },
        });
        self.lock().put(seq, kept, self.room);
    }

    /// Says what a claim of a job will answer, if it is here and does not rest.
    pub(super) fn claimed(&self, choice: Choice, now: Timestamp) -> Option<Claimed> {
        let Kept { job, request } = self.lock().jobs.get(&choice.seq)?.clone();
        Claimed::first(&job?, request, choice.reason, now)
    }

    /// Takes a job out as it was accepted, if it is here: its first claim is about to be made.
    pub(super) fn take_job(&self, seq: i64) -> Option<Job> {
        self.lock().jobs.get_mut(&seq)?.job.take()
    }

    /// Takes the request of a job out, if it is here.
    pub(super) fn take(&self, seq: i64) -> Option<StoredRequest> {
        self.lock().take(seq)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, seq: i64, kept: Option<Kept>, room: usize) {
        self.take(seq);
        let Some(kept) = kept else {
            return;
        };
        self.size = self.size.saturating_add(size(&kept.request));
        self.jobs.insert(seq, kept);
        while self.size > room
            && let Some((&oldest, _)) = self.jobs.first_key_value()
        {
            self.take(oldest);
        }
    }

    fn take(&mut self, seq: i64) -> Option<StoredRequest> {
        let Kept { request, .. } = self.jobs.remove(&seq)?;
        self.size = self.size.saturating_sub(size(&request));
        Some(request)
    }
}

fn size(request: &StoredRequest) -> usize {
    let headers = request.headers.iter();
    let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
    ENTRY
        .saturating_add(headers)
        .saturating_add(request.body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize) -> StoredRequest {
        StoredRequest {
            headers: [("accept".to_owned(), "*/*".to_owned())].into(),
            body: vec![b'x'; bytes].into(),
        }
    }

    fn job(bytes: usize) -> NewJob {
        NewJob {
            request: request(bytes),
            ..crate::sqlite::tests::job(1, 0)
        }
    }

    #[test]
    fn a_request_is_taken_once() {
        let recent = Recent::new(10_000);
        recent.keep(1, &job(10));

        assert_eq!(recent.take(1), Some(request(10)));
        assert_eq!(recent.take(1), None);
        assert_eq!(recent.lock().size, 0);
    }

    #[test]
    fn the_oldest_make_room_for_new_ones() {
        let recent = Recent::new(10_000);

        for seq in 1..=100 {
            recent.keep(seq, &job(1_000));
        }

        assert!(recent.lock().size <= 10_000);
        assert_eq!(recent.take(1), None);
        assert_eq!(recent.take(100), Some(request(1_000)));
    }

    #[test]
    fn a_place_that_is_given_again_has_the_request_of_its_last_job_or_none() {
        let recent = Recent::new(1_000_000);
        recent.keep(1, &job(10));
        recent.keep(1, &job(20));
        assert_eq!(recent.take(1), Some(request(20)));

        recent.keep(1, &job(10));
        recent.keep(1, &job(LARGEST));
        assert_eq!(recent.take(1), None);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let recent = Recent::new(0);

        recent.keep(1, &job(10));

        assert_eq!(recent.take(1), None);
    }
}
