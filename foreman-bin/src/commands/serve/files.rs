//! How many files the program may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::info;

/// Kept for the store, the target and the log.
const OWN: u64 = 256;
/// Some systems refuse more than this, whatever they say that they allow.
const MODEST: u64 = 10_240;
/// However few files there may be, so many connections are tried.
const LEAST: usize = 16;

/// Raises the limit of open files as far as it may go, and returns how many connections of callers
/// that allows, at most as many as are wanted.
///
/// Callers must not use up the files that the store and the target need.
pub(super) fn connections(wanted: usize) -> usize {
    let limit = raised();
    let allowed = allowed(limit);
    if allowed < wanted {
        info!(
            limit,
            connections = allowed,
            "the limit of open files bounds the connections of callers"
        );
    }
    allowed.min(wanted)
}

/// Of the files that are left, a quarter is for requests that are passed on and need a second one.
fn allowed(limit: Option<u64>) -> usize {
    let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(OWN) / 4 * 3);
    usize::try_from(left).unwrap_or(usize::MAX).max(LEAST)
}

/// Returns the limit after it was raised; none: there is none.
fn raised() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let is_low = current.is_some_and(|now| maximum.is_none_or(|most| now < most));
    if is_low {
        let modest = maximum.map_or(MODEST, |most| most.min(MODEST));
        for limit in [maximum, Some(modest)] {
            let raised = Rlimit {
                current: limit,
                maximum,
            };
            if setrlimit(Resource::Nofile, raised).is_ok() {
                break;
            }
        }
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_leave_files_for_the_program_itself() {
        assert_eq!(allowed(Some(1024)), 576);
        assert_eq!(allowed(Some(200)), LEAST);
        assert_eq!(allowed(None), usize::MAX);
    }

    #[test]
    fn no_more_connections_are_allowed_than_are_wanted() {
        assert_eq!(connections(20), 20);
    }
}
