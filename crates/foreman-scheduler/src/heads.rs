//! What was read of requests that came a moment ago, so that it is not read once more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foreman_job::JobId;
use foreman_ollama::RequestHead;

/// So many are kept. The request of a job that waits longer is read again when its turn comes.
const MOST: usize = 128;

/// A model may be spelled with any number of spaces around it.
const LONGEST: usize = 512;

/// The heads of the newest requests, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<VecDeque<(JobId, RequestHead)>>);

impl Heads {
    /// Keeps a head, in place of the oldest one where there are enough; none that takes much room.
    pub(crate) fn keep(&self, id: JobId, head: RequestHead) {
        if head.model.capacity() > LONGEST {
            return;
        }
        let mut heads = self.lock();
        if heads.len() >= MOST {
            heads.pop_front();
        }
        heads.push_back((id, head));
    }

    /// Takes the head of a job out, if it is here.
    pub(crate) fn take(&self, id: JobId) -> Option<RequestHead> {
        let mut heads = self.lock();
        let place = heads.iter().position(|(kept, _)| *kept == id)?;
        heads.remove(place).map(|(_, head)| head)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(JobId, RequestHead)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use foreman_job::{Random, Timestamp};
    use foreman_ollama::{Api, scan};

    use super::*;

    struct Number(u64);

    impl Random for Number {
        fn next_u64(&self) -> u64 {
            self.0
        }
    }

    fn id(number: usize) -> JobId {
        let random = Number(u64::try_from(number).unwrap());
        JobId::generate(Timestamp::from_millis(1), &random)
    }

    fn head(model: &str) -> RequestHead {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        scan(Api::Chat, body.as_bytes()).unwrap()
    }

    #[test]
    fn a_head_is_taken_once_and_the_oldest_make_room() {
        let heads = Heads::default();
        for number in 0..=MOST {
            heads.keep(id(number), head(&format!("m{number}")));
        }

        assert!(heads.take(id(0)).is_none());
        assert_eq!(heads.take(id(7)).unwrap().model, "m7");
        assert!(heads.take(id(7)).is_none());
        assert!(heads.take(id(MOST)).is_some());
    }

    #[test]
    fn a_model_with_many_spaces_around_it_is_not_kept() {
        let heads = Heads::default();

        heads.keep(id(1), head(&format!("{:600}", "m")));

        assert!(heads.take(id(1)).is_none());
    }
}
