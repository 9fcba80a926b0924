//! The transition table, row by row, and what holds for every sequence of events.

use proptest::prelude::*;

use super::*;

fn progress(state: JobState) -> Progress {
    Progress {
        state,
        epoch: Epoch::new(2),
        ..Progress::accepted()
    }
}

const EPOCH: Epoch = Epoch::new(2);
const LATER: Timestamp = Timestamp::from_millis(99);

fn events() -> Vec<Event> {
    vec![
        Event::Claim,
        Event::Start { epoch: EPOCH },
        Event::Finish { epoch: EPOCH },
        Event::Retry {
            epoch: EPOCH,
            spends_attempt: true,
            retry_at: Some(LATER),
        },
        Event::Fail {
            epoch: EPOCH,
            spends_attempt: true,
        },
        Event::Abort { epoch: EPOCH },
        Event::Release { epoch: EPOCH },
        Event::Cancel,
        Event::Reject,
        Event::Recover,
    ]
}

#[test]
fn the_table_allows_exactly_these_transitions() {
    use JobState::{Cancelled, Done, Failed, Loading, Queued, Working};
    // One row per state, one column per event, in the order of `events()`.
    let table: [(JobState, [Option<JobState>; 10]); 6] = [
        (
            Queued,
            [
                Some(Loading),
                None,
                None,
                None,
                None,
                None,
                None,
                Some(Cancelled),
                Some(Failed),
                None,
            ],
        ),
        (
            Loading,
            [
                None,
                Some(Working),
                Some(Done),
                Some(Queued),
                Some(Failed),
                Some(Cancelled),
                Some(Queued),
                Some(Loading),
                None,
                Some(Queued),
            ],
        ),
        (
            Working,
            [
                None,
                None,
                Some(Done),
                Some(Queued),
                Some(Failed),
                Some(Cancelled),
                Some(Queued),
                Some(Working),
                None,
                Some(Queued),
            ],
        ),
        (Done, [None; 10]),
        (Failed, [None; 10]),
        (Cancelled, [None; 10]),
    ];
    for (from, row) in table {
        for (event, to) in events().iter().zip(row) {
            let got = step(&progress(from), event)
                .ok()
                .map(|next| next.progress.state);
            assert_eq!(got, to, "{from} {event:?}");
        }
    }
}

#[test]
fn a_claim_raises_the_epoch_and_takes_the_slot() {
    let next = step(&progress(JobState::Queued), &Event::Claim).unwrap();

    assert_eq!(next.progress.epoch, Epoch::new(3));
    assert_eq!(next.slot, SlotEffect::Take);
    assert_eq!(next.progress.attempt, 0);
}

#[test]
fn a_job_in_back_off_cannot_be_claimed() {
    let resting = Progress {
        retry_at: Some(LATER),
        ..progress(JobState::Queued)
    };

    assert!(step(&resting, &Event::Claim).is_err());
}

#[test]
fn a_lost_epoch_cannot_settle() {
    let old = Epoch::new(1);
    for event in [
        Event::Start { epoch: old },
        Event::Finish { epoch: old },
        Event::Retry {
            epoch: old,
            spends_attempt: false,
            retry_at: None,
        },
        Event::Fail {
            epoch: old,
            spends_attempt: false,
        },
        Event::Abort { epoch: old },
        Event::Release { epoch: old },
    ] {
        let refused = step(&progress(JobState::Working), &event);
        assert_eq!(
            refused,
            Err(IllegalTransition::Epoch {
                given: old,
                current: EPOCH
            }),
            "{event:?}"
        );
    }
}

#[test]
fn only_failures_that_count_spend_an_attempt() {
    let working = progress(JobState::Working);
    for (spends_attempt, attempt) in [(true, 1), (false, 0)] {
        let retry = Event::Retry {
            epoch: EPOCH,
            spends_attempt,
            retry_at: None,
        };
        assert_eq!(step(&working, &retry).unwrap().progress.attempt, attempt);
    }
    for event in [Event::Release { epoch: EPOCH }, Event::Recover] {
        assert_eq!(
            step(&working, &event).unwrap().progress.attempt,
            0,
            "{event:?}"
        );
    }
}

#[test]
fn a_job_found_running_at_three_crashes_fails() {
    let mut job = progress(JobState::Working);
    for crashes in 1..MAX_CRASHES {
        let next = step(&job, &Event::Recover).unwrap();
        assert_eq!(
            (next.progress.state, next.progress.crashes),
            (JobState::Queued, crashes)
        );
        job = Progress {
            state: JobState::Working,
            ..next.progress
        };
    }

    assert_eq!(
        step(&job, &Event::Recover).unwrap().progress.state,
        JobState::Failed
    );
}

#[test]
fn a_wish_to_cancel_outlives_a_crash_a_retry_and_a_shutdown() {
    let asked = step(&progress(JobState::Working), &Event::Cancel)
        .unwrap()
        .progress;

    for event in [
        Event::Recover,
        Event::Retry {
            epoch: EPOCH,
            spends_attempt: true,
            retry_at: None,
        },
        Event::Release { epoch: EPOCH },
    ] {
        assert_eq!(
            step(&asked, &event).unwrap().progress.state,
            JobState::Cancelled,
            "{event:?}"
        );
    }
}

#[test]
fn an_answer_that_came_before_the_abort_counts() {
    let asked = step(&progress(JobState::Working), &Event::Cancel)
        .unwrap()
        .progress;

    assert_eq!(
        step(&asked, &Event::Finish { epoch: EPOCH })
            .unwrap()
            .progress
            .state,
        JobState::Done
    );
}

proptest! {
    #[test]
    fn whatever_happens_terminal_is_final_and_counters_only_grow(choices in prop::collection::vec(0_usize..10, 0..60)) {
        let mut job = Progress::accepted();
        let mut holds_slot = false;
        for choice in choices {
            let event = match events()[choice] {
                Event::Start { .. } => Event::Start { epoch: job.epoch },
                Event::Finish { .. } => Event::Finish { epoch: job.epoch },
                Event::Retry { spends_attempt, .. } => Event::Retry { epoch: job.epoch, spends_attempt, retry_at: None },
                Event::Fail { spends_attempt, .. } => Event::Fail { epoch: job.epoch, spends_attempt },
                Event::Abort { .. } => Event::Abort { epoch: job.epoch },
                Event::Release { .. } => Event::Release { epoch: job.epoch },
                other @ (Event::Claim | Event::Cancel | Event::Reject | Event::Recover) => other,
            };
            let Ok(next) = step(&job, &event) else { continue };
            prop_assert!(!job.state.is_terminal());
            prop_assert!(next.progress.epoch >= job.epoch);
            prop_assert!(next.progress.attempt >= job.attempt);
            prop_assert!(next.progress.crashes >= job.crashes);
            match next.slot {
                SlotEffect::Take => { prop_assert!(!holds_slot); holds_slot = true; }
                SlotEffect::Free => { prop_assert!(holds_slot); holds_slot = false; }
                SlotEffect::Keep => {}
            }
            prop_assert_eq!(holds_slot, next.progress.state.is_running());
            job = next.progress;
        }
    }
}
