//! The policy as a table, and its bounds under arbitrary arrivals.

use foreman_job::{Priority, RunnerKey};
use rstest::rstest;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

/// A queue's heads and what is known besides.
struct Case {
    heads: QueueHeads,
    bounds: Bounds,
    now: i64,
    drained_for: Duration,
    recent_use: RecentUse,
    /// When the oldest of the class was taken last; none when none past the bound ever was.
    taken: Option<Duration>,
    elapsed: Duration,
}

fn head(seq: i64, runner: &str, caller: &str, created_at: i64) -> HeadJob {
    HeadJob {
        seq,
        priority: Priority::Normal,
        runner: RunnerKey::new(runner, ""),
        caller: (!caller.is_empty()).then(|| caller.to_owned()),
        created_at: Timestamp::from_millis(created_at),
    }
}

/// The heads of these jobs with these runners resident, as a store would read them.
fn case(jobs: &[HeadJob], resident: &[&str]) -> Case {
    let mut jobs = jobs.to_vec();
    jobs.sort_by_key(|job| job.seq);
    let oldest = jobs[0].clone();
    let of_runner = |runner: &RunnerKey| jobs.iter().find(|job| job.runner == *runner);
    let resident: Vec<HeadJob> = resident
        .iter()
        .filter_map(|name| of_runner(&RunnerKey::new(name, "")).cloned())
        .collect();
    let drain = resident.first().unwrap_or(&oldest).runner.clone();
    let first_of_callers = |jobs: Vec<HeadJob>| {
        let mut first: Vec<HeadJob> = Vec::new();
        for job in jobs {
            if first.iter().all(|it| it.caller != job.caller) {
                first.push(job);
            }
        }
        first
    };
    let of_drain = jobs.iter().filter(|job| job.runner == drain);
    let callers = first_of_callers(of_drain.cloned().collect());
    Case {
        heads: QueueHeads {
            oldest,
            resident,
            callers,
            aged: first_of_callers(jobs),
            most_used: 0.0,
            overtaken: None,
        },
        bounds: Bounds::new(MINUTE),
        now: 6_000,
        drained_for: Duration::ZERO,
        recent_use: RecentUse::default(),
        taken: Some(Duration::ZERO),
        elapsed: Duration::ZERO,
    }
}

impl Case {
    fn at(mut self, now: i64) -> Self {
        self.now = now;
        self
    }

    fn drained_for(mut self, seconds: u64) -> Self {
        self.drained_for = Duration::from_secs(seconds);
        self
    }

    /// The oldest was passed over for so long; none: it is the first past the bound.
    fn passed_over(mut self, seconds: Option<u64>) -> Self {
        self.taken = seconds.map(|_| Duration::ZERO);
        self.elapsed = Duration::from_secs(seconds.unwrap_or_default());
        self
    }

    fn used(mut self, caller: &str, seconds: u64) -> Self {
        let ran = Duration::from_secs(seconds);
        self.recent_use.charge(Some(caller), ran, Duration::ZERO);
        self
    }

    fn choice(mut self) -> (i64, PickReason) {
        let now = Timestamp::from_millis(self.now);
        let before = self.bounds.aged_before(now);
        let is_aged = |head: &HeadJob| before.is_some_and(|before| head.created_at <= before);
        if !is_aged(&self.heads.oldest) {
            self.heads.aged.clear();
        }
        self.heads.aged.retain(is_aged);
        let mut turns = OldestTurns::default();
        if let Some(taken) = self.taken {
            let choice = Choice {
                seq: self.heads.oldest.seq,
                reason: PickReason::Aged,
            };
            turns.note(&self.heads, &choice, true, taken);
        }
        let moment = Moment {
            now,
            elapsed: self.elapsed,
            drained_for: self.drained_for,
            recent_use: &self.recent_use,
            turns: &turns,
        };
        let choice = choose(&self.heads, &self.bounds, &moment);
        (choice.seq, choice.reason)
    }
}

#[test]
fn a_job_of_the_resident_runner_goes_before_an_older_one() {
    let case = case(&[head(1, "b", "", 0), head(7, "a", "", 5_000)], &["a"]);

    assert_eq!(case.choice(), (7, PickReason::Resident));
}

#[test]
fn the_runner_of_the_last_job_goes_before_other_residents() {
    let jobs = [
        head(1, "c", "", 0),
        head(9, "a", "", 5_000),
        head(3, "b", "", 1_000),
    ];

    assert_eq!(case(&jobs, &["a", "b"]).choice().0, 9);
}

#[test]
fn the_oldest_goes_when_nothing_is_resident() {
    let case = case(&[head(4, "b", "", 0), head(5, "a", "", 0)], &["z"]);

    assert_eq!(case.choice(), (4, PickReason::Oldest));
}

#[rstest]
#[case(59_999, (7, PickReason::Resident))]
#[case(60_000, (1, PickReason::Aged))]
fn a_job_past_the_age_bound_ends_a_younger_drain(
    #[case] now: i64,
    #[case] expected: (i64, PickReason),
) {
    let case = case(&[head(1, "b", "", 0), head(7, "a", "", 59_000)], &["a"]);

    assert_eq!(case.at(now).drained_for(1).choice(), expected);
}

#[rstest]
#[case(0, (2, PickReason::Resident))]
#[case(14, (2, PickReason::Resident))]
#[case(15, (1, PickReason::Aged))]
fn a_drain_of_jobs_as_old_has_its_share_first(
    #[case] drained_for: u64,
    #[case] expected: (i64, PickReason),
) {
    let case = case(&[head(1, "b", "", 0), head(2, "a", "", 1)], &["a"]);

    assert_eq!(case.at(90_000).drained_for(drained_for).choice(), expected);
}

#[test]
fn a_job_past_the_age_bound_whose_runner_is_drained_costs_no_swap() {
    let jobs = [head(1, "a", "", 0), head(2, "b", "", 1)];

    assert_eq!(
        case(&jobs, &["a"]).at(90_000).drained_for(60).choice(),
        (1, PickReason::Resident)
    );
}

#[test]
fn without_an_age_bound_only_the_end_of_a_drain_ends_it() {
    let mut case = case(&[head(1, "b", "", 0), head(7, "a", "", 59_000)], &["a"]);
    case.bounds = Bounds::new(Duration::ZERO);

    assert_eq!(case.at(i64::MAX).drained_for(10_000).choice().0, 7);
}

#[test]
fn a_clock_that_went_back_ages_nobody() {
    let jobs = [head(1, "b", "", 900_000), head(7, "a", "", 901_000)];

    assert_eq!(case(&jobs, &["a"]).at(0).choice().0, 7);
}

#[rstest]
#[case::nobody_has_used_it(&[], (1, PickReason::Resident))]
#[case::the_older_ones_caller_has(&[("ann", 30)], (2, PickReason::Fair))]
#[case::both_have(&[("ann", 30), ("bob", 40)], (3, PickReason::Fair))]
#[case::all_have(&[("ann", 30), ("bob", 40), ("cid", 50)], (1, PickReason::Resident))]
fn within_a_drain_callers_take_turns_by_what_they_have_used(
    #[case] used: &[(&str, u64)],
    #[case] expected: (i64, PickReason),
) {
    let jobs = [
        head(1, "a", "ann", 0),
        head(2, "a", "bob", 1),
        head(3, "a", "cid", 2),
        head(4, "a", "ann", 3),
    ];
    let case = used
        .iter()
        .fold(case(&jobs, &["a"]), |case, (caller, seconds)| {
            case.used(caller, *seconds)
        });

    assert_eq!(case.choice(), expected);
}

#[test]
fn a_drain_begins_with_the_runner_of_the_oldest_and_the_caller_whose_turn_it_is() {
    let jobs = [
        head(1, "a", "ann", 0),
        head(2, "b", "bob", 1),
        head(3, "a", "cid", 2),
    ];

    assert_eq!(
        case(&jobs, &[]).used("ann", 5).choice(),
        (3, PickReason::Fair)
    );
}

#[test]
fn of_jobs_past_the_age_bound_that_of_the_caller_who_has_used_least_goes_first() {
    let jobs = [
        head(1, "b", "ann", 0),
        head(2, "c", "bob", 1),
        head(3, "a", "cid", 80_000),
    ];

    assert_eq!(
        case(&jobs, &["a"]).at(90_000).used("ann", 5).choice(),
        (2, PickReason::Aged)
    );
}

#[rstest]
#[case::the_first_past_it(None, (1, PickReason::Aged))]
#[case::just_taken(Some(0), (2, PickReason::Fair))]
#[case::for_less_than_half_the_bound(Some(29), (2, PickReason::Fair))]
#[case::for_half_the_bound(Some(30), (1, PickReason::Aged))]
fn the_oldest_past_the_age_bound_is_not_passed_over_for_longer_than_half_of_it(
    #[case] passed_over: Option<u64>,
    #[case] expected: (i64, PickReason),
) {
    let jobs = [head(1, "a", "ann", 0), head(2, "a", "bob", 1)];
    let case = case(&jobs, &["a"]).used("ann", 500);

    assert_eq!(case.at(60_001).passed_over(passed_over).choice(), expected);
}

#[test]
fn the_oldest_past_the_age_bound_ends_a_drain_in_its_share_once_it_was_passed_over() {
    let case = case(&[head(1, "b", "", 0), head(2, "a", "", 1)], &["a"]);
    let case = case.at(90_000).drained_for(1).passed_over(Some(30));

    assert_eq!(case.choice(), (1, PickReason::Aged));
}

#[test]
fn what_was_taken_counts_in_its_class_alone_and_only_past_the_age_bound() {
    let heads = case(&[head(1, "a", "", 0)], &[]).heads;
    let other = Choice {
        seq: 7,
        reason: PickReason::Fair,
    };
    let oldest = Choice { seq: 1, ..other };
    let mut turns = OldestTurns::default();

    turns.note(&heads, &other, true, MINUTE);
    turns.note(&heads, &oldest, false, MINUTE);
    assert_eq!(turns.passed_over(Priority::Normal, MINUTE * 3), None);

    turns.note(&heads, &oldest, true, MINUTE);
    assert_eq!(
        turns.passed_over(Priority::Normal, MINUTE * 3),
        Some(MINUTE * 2)
    );
    assert_eq!(turns.passed_over(Priority::High, MINUTE * 3), None);
}

#[rstest]
#[case(Some(3), PickReason::Priority)]
#[case(Some(9), PickReason::Resident)]
#[case(None, PickReason::Resident)]
fn the_class_is_the_reason_where_it_overtakes_an_older_job(
    #[case] overtaken: Option<i64>,
    #[case] expected: PickReason,
) {
    let mut case = case(&[head(7, "a", "", 5_000)], &["a"]);
    case.heads.overtaken = overtaken;

    assert_eq!(case.choice(), (7, expected));
}
