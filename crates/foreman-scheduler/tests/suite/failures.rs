//! What a failing target costs: attempts, time, never a job that could be done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foreman_job::{FailureKind, JobState};
use foreman_ollama::{ErrorKind, FakeReply};
use foreman_scheduler::{BreakerStatus, First};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::rig::*;

const MINUTE: Duration = Duration::from_mins(1);

/// Makes a target that fails in one way until it is told to be up.
fn away(rig: &Rig, kind: ErrorKind) -> Arc<AtomicBool> {
    let up = Arc::new(AtomicBool::new(false));
    for path in ["/api/chat", "/api/version", "/api/ps", "/api/tags"] {
        let up = Arc::clone(&up);
        rig.fake.on(path, move |request| {
            if !up.load(Ordering::Relaxed) {
                FakeReply::error(kind)
            } else if request.path() == "/api/chat" {
                echo(request)
            } else {
                FakeReply::json(StatusCode::OK, r#"{"version":"1","models":[]}"#)
            }
        });
    }
    up
}

/// Submits jobs to a target that is away; returns the attempts that they spent.
async fn spent_in_an_outage(kind: ErrorKind, length: Duration) -> u32 {
    let rig = Rig::start().await;
    let up = away(&rig, kind);
    let mut tickets = Vec::new();
    for n in 0..50 {
        tickets.push(rig.submit(chat("a", &format!("{n}"))).await);
    }
    tokio::time::sleep(length).await;
    assert!(matches!(
        rig.handle.status().breaker,
        BreakerStatus::Open { .. }
    ));
    assert!(rig.inventory.snapshot().degraded);

    up.store(true, Ordering::Relaxed);
    let mut spent = 0;
    for ticket in tickets {
        let id = ticket.id();
        text(ticket).await;
        spent += rig.job(id).await.progress.attempt;
    }

    assert_eq!(rig.handle.status().breaker, BreakerStatus::Closed);
    spent
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_met_by_one_attempt_of_one_job() {
    assert_eq!(spent_in_an_outage(ErrorKind::Refused, MINUTE).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_looks_like_a_failing_job_is_met_by_one_attempt_too() {
    assert_eq!(
        spent_in_an_outage(ErrorKind::ClosedBeforeHead, MINUTE).await,
        1
    );
    assert_eq!(
        spent_in_an_outage(ErrorKind::FirstByteTimeout, MINUTE).await,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_seconds_and_one_of_ten_minutes_cost_nobody_an_answer() {
    for length in [Duration::from_secs(5), Duration::from_mins(10)] {
        assert_eq!(spent_in_an_outage(ErrorKind::Refused, length).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_comes_and_goes_every_second_answers_everybody() {
    let rig = Rig::start().await;
    let up = away(&rig, ErrorKind::Refused);
    let mut flapping = JoinSet::new();
    flapping.spawn(async move {
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            up.fetch_xor(true, Ordering::Relaxed);
        }
        up.store(true, Ordering::Relaxed);
    });
    let mut spent = 0;
    for n in 0..100 {
        let ticket = rig.submit(chat("a", &format!("{n}"))).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        let id = ticket.id();
        text(ticket).await;
        spent += rig.job(id).await.progress.attempt;
    }

    assert!((1..=30).contains(&spent), "{spent}");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_the_last_error_is_kept() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", |_| {
        FakeReply::error(ErrorKind::ClosedBeforeHead)
    });
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    let First::Ended { ending, attempts } = ticket.first().await else {
        panic!("it was answered");
    };

    assert_eq!(attempts, 5);
    assert_eq!(
        ending.failure().unwrap().kind,
        FailureKind::ClosedBeforeHead
    );
    assert_eq!(rig.job(id).await.progress.state, JobState::Failed);
    assert_eq!(rig.prompts().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_busy_target_is_waited_for_without_spending_attempts() {
    let rig = Rig::start().await;
    for _ in 0..20 {
        rig.fake.queue("/api/chat", busy());
    }
    rig.fake.on("/api/chat", echo);
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    text(ticket).await;

    assert_eq!(rig.job(id).await.progress.attempt, 0);
    assert_eq!(rig.prompts().len(), 21);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_after_a_forwarded_chunk_is_not_begun_again() {
    let rig = Rig::start().await;
    let broken = FakeReply::ndjson(&[TOKEN]).fail(ErrorKind::Truncated);
    rig.fake.queue("/api/chat", broken);
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    let mut output = output(ticket).await;
    output.chunk().await.unwrap().unwrap();
    let end = output.chunk().await.unwrap().unwrap_err();

    assert_eq!(end.failure().unwrap().kind, FailureKind::Truncated);
    assert!(output.chunk().await.is_none());
    assert_eq!(rig.job(id).await.progress.state, JobState::Failed);
    assert_eq!(rig.prompts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece_that_breaks_off_is_begun_again_unseen() {
    let rig = Rig::start().await;
    let broken =
        FakeReply::json(StatusCode::OK, r#"{"message":{"role":"#).fail(ErrorKind::Truncated);
    rig.fake.queue("/api/chat", broken);
    rig.fake
        .queue("/api/chat", FakeReply::json(StatusCode::OK, DONE));
    let body =
        json!({"model": "a", "stream": false, "messages": [{"role": "user", "content": "hi"}]});

    let answer = text(rig.submit(chat_with("a", &body)).await).await;

    assert_eq!(answer, DONE);
    assert_eq!(rig.prompts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_proper_end_without_the_end_marker_is_a_failure() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, TOKEN]));
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    let mut output = output(ticket).await;
    output.chunk().await.unwrap().unwrap();
    output.chunk().await.unwrap().unwrap();
    let end = output.chunk().await.unwrap().unwrap_err();

    assert_eq!(end.failure().unwrap().kind, FailureKind::Incomplete);
    assert_eq!(rig.job(id).await.progress.state, JobState::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_500_that_passes_is_not_seen_and_one_that_stays_is_passed_on() {
    let rig = Rig::start().await;
    let crash = || FakeReply::json(StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"boom"}"#);
    rig.fake.queue("/api/chat", crash());
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]));
    assert!(
        text(rig.submit(chat("a", "once")).await)
            .await
            .contains("done_reason")
    );

    rig.fake.on("/api/chat", move |_| crash());
    let First::Answer(opening, _) = rig.submit(chat("a", "always")).await.first().await else {
        panic!("the target's answer is lost");
    };

    assert_eq!(opening.head.status, 500);
    assert_eq!(rig.prompts().len(), 2 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_500_about_the_request_itself_is_not_repeated() {
    let rig = Rig::start().await;
    let words = r#"{"error":"option \"num_ctx\" must be of type integer"}"#;
    rig.fake.on("/api/chat", move |_| {
        FakeReply::json(StatusCode::INTERNAL_SERVER_ERROR, words)
    });

    assert_eq!(text(rig.submit(chat("a", "hi")).await).await, words);

    assert_eq!(rig.prompts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_target_is_given_up_once_and_tried_again() {
    let rig = Rig::start().await;
    rig.fake.queue(
        "/api/chat",
        FakeReply::ndjson(&[DONE]).after(Duration::from_secs(100_000)),
    );
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]));

    text(rig.submit(chat("a", "hi")).await).await;

    assert_eq!(rig.prompts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_line_is_the_end_and_is_passed_on_as_it_came() {
    let rig = Rig::start().await;
    let line = r#"{"error":"an error was encountered while running the model: unexpected EOF"}"#;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, line]));
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    let answer = text(ticket).await;

    assert_eq!(answer, format!("{TOKEN}\n{line}\n"));
    assert_eq!(rig.job(id).await.progress.state, JobState::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_answer_longer_than_foreman_keeps_fails_its_job_alone() {
    let config = foreman_scheduler::SchedulerConfig {
        max_output: 500,
        ..config()
    };
    let rig = Rig::with(foreman_ollama::FakeOllama::new(), config).await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN; 100]));
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]));

    let mut output = output(rig.submit(chat("a", "long")).await).await;
    let end = loop {
        if let Err(end) = output.chunk().await.unwrap() {
            break end;
        }
    };

    assert_eq!(end.failure().unwrap().kind, FailureKind::OutputTooLarge);
    text(rig.submit(chat("a", "short")).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_request_cannot_be_read_fails_alone() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);
    rig.store.unreadable.store(true, Ordering::SeqCst);
    let lost = rig.submit(chat("a", "lost")).await;
    let next = rig.submit(chat("a", "next")).await;
    let id = lost.id();

    let First::Ended { ending, .. } = lost.first().await else {
        panic!("it was answered");
    };

    assert_eq!(ending.failure().unwrap().kind, FailureKind::StorageRead);
    assert_eq!(rig.job(id).await.progress.state, JobState::Failed);
    text(next).await;
    assert_eq!(rig.prompts(), ["next"]);
    assert_eq!(rig.handle.status().breaker, BreakerStatus::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_asks_for_a_day_is_asked_again_after_five_minutes() {
    for asked in ["99999", "Thu, 22 Oct 2026 07:28:00 GMT"] {
        let rig = Rig::start().await;
        let date = HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT");
        let busy = busy()
            .header(header::DATE, date)
            .header(header::RETRY_AFTER, HeaderValue::from_static(asked));
        rig.fake.on("/api/chat", echo);
        rig.fake.queue("/api/chat", busy);
        let began = Instant::now();

        let ticket = rig.submit(chat("a", "hi")).await;
        assert!(text(ticket).await.contains("hi"));

        let waited = began.elapsed();
        let five = Duration::from_mins(5);
        assert!(
            waited >= five && waited < five + MINUTE,
            "{asked}: {waited:?}"
        );
    }
}
