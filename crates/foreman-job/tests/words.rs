//! The words and numbers that the database, the API and the logs share: none may change by itself.

use std::time::Duration;

use foreman_job::lifecycle::{Epoch, Event, Progress, step};
use foreman_job::{
    Endpoint, FailureKind, FailureSource, JobFailure, JobId, JobState, PickReason, Priority,
    Random, RunnerKey, Timestamp,
};

/// Gives the same bits each time.
struct Fixed(u64);

impl Random for Fixed {
    fn next_u64(&self) -> u64 {
        self.0
    }
}

/// Gives one number after the other.
struct Counting(std::sync::atomic::AtomicU64);

impl Random for Counting {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn states_have_their_words_and_three_of_them_are_the_end() {
    let words = JobState::ALL.map(|state| (state.to_string(), state.is_terminal()));

    let expected = [
        ("queued", false),
        ("loading", false),
        ("working", false),
        ("done", true),
        ("failed", true),
        ("cancelled", true),
    ];
    assert_eq!(words, expected.map(|(word, end)| (word.to_owned(), end)));
    for state in JobState::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    assert!("Queued".parse::<JobState>().is_err());
}

#[test]
fn priorities_have_their_words_and_ranks_and_normal_is_usual() {
    let words = Priority::ALL.map(|class| (class.to_string(), class.rank()));

    let expected = [("high", 0), ("normal", 1), ("low", 2)];
    assert_eq!(words, expected.map(|(word, rank)| (word.to_owned(), rank)));
    for class in Priority::ALL {
        assert_eq!(class.as_str().parse(), Ok(class));
        assert_eq!(Priority::from_rank(class.rank()), Some(class));
    }
    assert!("HIGH".parse::<Priority>().is_err());
    assert_eq!(Priority::from_rank(3), None);
    assert_eq!(Priority::default(), Priority::Normal);
}

#[test]
fn endpoints_are_the_paths_of_the_target() {
    let paths = Endpoint::ALL.map(|endpoint| endpoint.to_string());

    assert_eq!(
        paths,
        [
            "/api/chat",
            "/api/generate",
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/responses",
            "/v1/messages",
            "/v1/audio/transcriptions",
        ]
    );
    for endpoint in Endpoint::ALL {
        assert_eq!(endpoint.path().parse(), Ok(endpoint));
    }
    assert!("/api/embed".parse::<Endpoint>().is_err());
}

#[test]
fn reasons_of_a_pick_have_their_words() {
    let reasons = [
        PickReason::Priority,
        PickReason::Aged,
        PickReason::Resident,
        PickReason::Fair,
        PickReason::Oldest,
    ];

    let words = reasons.map(|reason| reason.to_string());
    assert_eq!(words, ["priority", "aged", "resident", "fair", "oldest"]);
}

#[test]
fn each_class_of_failure_says_whose_fault_it_is_and_whether_to_try_again() {
    use FailureSource::{Foreman, Target};

    // Code, source, attempts at most, spends an attempt, opens the breaker.
    let unbounded = u32::MAX;
    let expected = [
        ("target_unreachable", Target, unbounded, true, true),
        ("target_tls", Target, unbounded, false, true),
        ("target_closed", Target, unbounded, true, false),
        ("first_byte_timeout", Target, 2, true, false),
        ("stalled", Target, 2, true, false),
        ("truncated", Target, unbounded, true, false),
        ("incomplete", Target, 1, true, false),
        ("run_timeout", Foreman, 1, true, false),
        ("target_busy", Target, unbounded, false, true),
        ("target_transient", Target, unbounded, true, false),
        ("target_error", Target, 3, true, false),
        ("target_rejected", Target, 1, true, false),
        ("bad_response", Target, 2, true, false),
        ("line_too_long", Target, 1, true, false),
        ("output_too_large", Foreman, 1, true, false),
        ("storage_read", Foreman, 1, true, false),
        ("expired", Foreman, 1, true, false),
        ("poison", Foreman, 1, true, false),
        ("internal", Foreman, 1, true, false),
    ];

    let told = FailureKind::ALL.map(|kind| {
        assert_eq!(kind.is_transient(), kind.attempt_limit() > 1, "{kind}");
        assert_eq!(kind.to_string(), kind.code());
        let (limit, spends) = (kind.attempt_limit(), kind.spends_attempt());
        (
            kind.code(),
            kind.source(),
            limit,
            spends,
            kind.opens_breaker(),
        )
    });
    assert_eq!(told, expected);
    assert_eq!((Foreman.as_str(), Target.as_str()), ("foreman", "target"));
    let failure = JobFailure::new(FailureKind::Stalled, "silent for 2 s");
    assert_eq!(failure.to_string(), "silent for 2 s");
}

#[test]
fn an_illegal_event_is_named_in_the_error() {
    let epoch = Epoch::new(0);
    let retry_at = None;
    let spends_attempt = true;
    let events = [
        (Event::Start { epoch }, "start"),
        (Event::Finish { epoch }, "finish"),
        (
            Event::Retry {
                epoch,
                spends_attempt,
                retry_at,
            },
            "be retried",
        ),
        (
            Event::Fail {
                epoch,
                spends_attempt,
            },
            "fail",
        ),
        (Event::Abort { epoch }, "be aborted"),
        (Event::Release { epoch }, "be released"),
    ];

    for (event, verb) in events {
        assert_eq!(event.verb(), verb);
        let error = step(&Progress::accepted(), &event).unwrap_err();
        assert!(error.to_string().contains(verb), "{error}");
    }
    let others = [
        (Event::Claim, "be claimed"),
        (Event::Cancel, "be cancelled"),
        (Event::Reject, "be rejected"),
        (Event::Recover, "be recovered"),
    ];
    for (event, verb) in others {
        assert_eq!(event.verb(), verb);
    }
    let seventh = Epoch::new(7);
    assert_eq!((seventh.get(), seventh.to_string().as_str()), (7, "7"));
}

#[test]
fn chance_is_from_zero_up_to_but_without_one() {
    assert_eq!(Fixed(0).unit().to_bits(), 0.0_f64.to_bits());
    assert_eq!(Fixed(1 << 63).unit().to_bits(), 0.5_f64.to_bits());
    assert_eq!(Fixed(1 << 62).unit().to_bits(), 0.25_f64.to_bits());
    let most = Fixed(u64::MAX).unit();
    assert!(most < 1.0 && most > 0.999_999, "{most}");
}

#[test]
fn ids_of_one_millisecond_differ_in_both_halves_of_their_chance() {
    let now = Timestamp::from_millis(1_795_225_898_123);
    let random = Counting(std::sync::atomic::AtomicU64::new(1));
    let [first, second] = [(); 2].map(|()| JobId::generate(now, &random).to_string());

    // The low 64 bits are the first number drawn, the 16 above them come from the second.
    assert_eq!(first.get(..10), second.get(..10), "the time");
    assert_eq!(first.get(10..), Some("0010000000000001"), "2, then 1");
    assert_eq!(second.get(10..), Some("0020000000000003"), "4, then 3");
    let debug = format!("{:?}", JobId::generate(now, &Fixed(0)));
    assert!(debug.starts_with("JobId(01"), "{debug}");
}

#[test]
fn a_runner_is_shown_by_its_key() {
    let runner = RunnerKey::new("sha256:6f", "num_ctx=4096");

    assert_eq!(runner.to_string(), runner.as_str());
    assert_eq!(format!("{runner:?}"), format!("RunnerKey({runner})"));
    assert!(runner.as_str().contains("sha256:6f"));
    assert_eq!(runner.load_options(), "num_ctx=4096");
}

#[test]
fn the_time_between_two_moments_is_never_negative() {
    let (early, late) = (Timestamp::from_millis(1_000), Timestamp::from_millis(2_500));

    assert_eq!(late.since(early), Duration::from_millis(1_500));
    assert_eq!(early.since(late), Duration::ZERO);
}
