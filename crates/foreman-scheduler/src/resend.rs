//! Requests that a client library sends again: it takes the old one for lost.

use std::collections::BTreeMap;

use foreman_job::{Endpoint, JobId};

/// What a client library says about a request that it sends again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resendable {
    /// Whether it was sent before.
    pub is_resend: bool,
    /// A digest of its body.
    pub body_hash: [u8; 32],
}

/// What two sendings of one request have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestKey {
    pub(crate) caller: Option<String>,
    pub(crate) endpoint: Endpoint,
    pub(crate) body_hash: [u8; 32],
}

/// Finds the jobs of requests that may be sent again.
#[derive(Debug, Default)]
pub(crate) struct Resends {
    jobs: BTreeMap<RequestKey, Vec<JobId>>,
}

impl Resends {
    pub(crate) fn add(&mut self, key: RequestKey, id: JobId) {
        self.jobs.entry(key).or_default().push(id);
    }

    pub(crate) fn remove(&mut self, key: &RequestKey, id: JobId) {
        if let Some(jobs) = self.jobs.get_mut(key) {
            jobs.retain(|other| *other != id);
            if jobs.is_empty() {
                self.jobs.remove(key);
            }
        }
    }

    /// Returns the job whose place a resend takes: one that its caller has left, else the oldest,
    /// whose caller is about to leave.
    pub(crate) fn find(&self, key: &RequestKey, is_left: impl Fn(JobId) -> bool) -> Option<JobId> {
        let jobs = self.jobs.get(key)?;
        let left = jobs.iter().find(|id| is_left(**id));
        left.or_else(|| jobs.first()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(caller: &str) -> RequestKey {
        RequestKey {
            caller: Some(caller.to_owned()),
            endpoint: Endpoint::V1ChatCompletions,
            body_hash: [7; 32],
        }
    }

    fn id(last: char) -> JobId {
        format!("01J9Z3N6T5Q8W0V2X4Y6Z8A0B{last}").parse().unwrap()
    }

    fn two() -> Resends {
        let mut resends = Resends::default();
        resends.add(key("a"), id('1'));
        resends.add(key("a"), id('2'));
        resends
    }

    #[test]
    fn a_job_whose_caller_has_left_is_taken_before_an_older_one() {
        let found = two().find(&key("a"), |job| job == id('2'));

        assert_eq!(found, Some(id('2')));
    }

    #[test]
    fn while_all_callers_are_there_the_oldest_job_is_taken() {
        assert_eq!(two().find(&key("a"), |_| false), Some(id('1')));
    }

    #[test]
    fn nothing_is_found_for_another_caller_or_after_the_end() {
        let mut resends = two();
        assert_eq!(resends.find(&key("b"), |_| true), None);

        resends.remove(&key("a"), id('1'));
        resends.remove(&key("a"), id('2'));

        assert_eq!(resends.find(&key("a"), |_| true), None);
        assert!(resends.jobs.is_empty());
    }
}
