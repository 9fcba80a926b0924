//! How long a job outlives its caller, so that the same request sent again finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use foreman_job::JobId;
use tokio::time::Instant;

/// Client libraries wait half a second before the first resend, and a second before the next.
/// A job that waits costs nobody anything meanwhile.
const WHILE_QUEUED: Duration = Duration::from_secs(2);

/// A run that nobody wants holds the target up: only the first resend is waited for.
const WHILE_RUNNING: Duration = Duration::from_millis(900);

/// What matters of a job whose caller left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Whether its request may be sent again by itself.
    pub(crate) resendable: bool,
    pub(crate) runs: bool,
    /// Whether anything of an answer was there to be forwarded.
    pub(crate) answered: bool,
}

/// Decides how long the job is kept.
pub(crate) const fn grace(left: Left) -> Option<Duration> {
    match left {
        Left {
            resendable: false, ..
        }
        | Left { answered: true, .. } => None,
        Left { runs: true, .. } => Some(WHILE_RUNNING),
        Left { runs: false, .. } => Some(WHILE_QUEUED),
    }
}

/// Jobs in their grace, the one whose grace ends first in front.
#[derive(Debug, Default)]
pub(crate) struct Graces {
    order: BTreeSet<(Instant, JobId)>,
    ends: BTreeMap<JobId, Instant>,
}

impl Graces {
    /// Notes when the grace of a job ends; a later departure from the same job counts anew.
    pub(crate) fn put(&mut self, id: JobId, end: Instant) {
        if let Some(before) = self.ends.insert(id, end) {
            self.order.remove(&(before, id));
        }
        self.order.insert((end, id));
    }

    /// Returns when the next grace ends.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(end, _)| *end)
    }

    /// Takes the jobs whose grace has ended.
    pub(crate) fn take_ended(&mut self, now: Instant) -> Vec<JobId> {
        let mut ended = Vec::new();
        while let Some((end, id)) = self.order.first().copied()
            && end <= now
        {
            self.order.remove(&(end, id));
            self.ends.remove(&id);
            ended.push(id);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(false, false, false, None)]
    #[case(false, true, false, None)]
    #[case(true, false, false, Some(WHILE_QUEUED))]
    #[case(true, true, false, Some(WHILE_RUNNING))]
    #[case(true, true, true, None)]
    fn only_what_may_be_sent_again_and_gave_nothing_yet_outlives_its_caller(
        #[case] resendable: bool,
        #[case] runs: bool,
        #[case] answered: bool,
        #[case] expected: Option<Duration>,
    ) {
        let left = Left {
            resendable,
            runs,
            answered,
        };

        assert_eq!(grace(left), expected);
    }

    #[test]
    fn graces_end_in_their_order_and_begin_anew() {
        let job = |last: char| -> JobId {
            let id = format!("01J9Z3N6T5Q8W0V2X4Y6Z8A0B{last}");
            id.parse().unwrap()
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut graces = Graces::default();
        graces.put(job('1'), at(1));
        graces.put(job('2'), at(2));
        graces.put(job('1'), at(3));

        assert_eq!(graces.next(), Some(at(2)));
        assert_eq!(graces.take_ended(at(1)), []);
        assert_eq!(graces.take_ended(at(3)), [job('2'), job('1')]);
        assert_eq!(graces.next(), None);
    }
}
