//! What a caller sees of a healthy run.

use std::time::Duration;

use bytes::Bytes;
use foreman_job::{Endpoint, FailureKind, JobState};
use foreman_ollama::FakeReply;
use foreman_scheduler::First;
use foreman_store::QueueStore as _;
use http::StatusCode;
use serde_json::json;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn chunks_pass_through_unmerged_and_unsplit() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, TOKEN, DONE]));

    let mut output = output(rig.submit(chat("a", "hi")).await).await;
    let mut chunks = Vec::new();
    while let Some(chunk) = output.chunk().await {
        chunks.push(String::from_utf8(chunk.unwrap().to_vec()).unwrap());
    }

    assert_eq!(chunks, [TOKEN, TOKEN, DONE].map(|line| format!("{line}\n")));
}

#[tokio::test(start_paused = true)]
async fn the_last_chunk_waits_until_the_outcome_is_durable() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]));
    rig.store.settlements.forget_permits(usize::MAX);
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    let mut output = output(ticket).await;
    assert_eq!(output.chunk().await.unwrap().unwrap(), format!("{TOKEN}\n"));
    {
        let last = output.chunk();
        tokio::pin!(last);
        settle_down().await;
        assert!(futures_util::poll!(last.as_mut()).is_pending());
        assert!(rig.job(id).await.progress.state.is_running());

        rig.store.settlements.add_permits(1);
        assert_eq!(last.await.unwrap().unwrap(), format!("{DONE}\n"));
    }

    assert_eq!(rig.job(id).await.progress.state, JobState::Done);
    assert!(output.chunk().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_one_piece_is_given_whole_with_its_length_known() {
    let rig = Rig::start().await;
    rig.fake
        .queue("/api/chat", FakeReply::json(StatusCode::OK, DONE));
    let body =
        json!({"model": "a", "stream": false, "messages": [{"role": "user", "content": "hi"}]});

    let ticket = rig.submit(chat_with("a", &body)).await;
    let id = ticket.id();
    let output = output(ticket).await;

    assert_eq!(output.known_length(), u64::try_from(DONE.len()).ok());
    assert_eq!(rig.job(id).await.progress.state, JobState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_target_comes_with_its_own_status_and_words() {
    let rig = Rig::start().await;
    let words = r#"{"error":"model 'a' not found"}"#;
    rig.fake
        .queue("/api/chat", FakeReply::json(StatusCode::NOT_FOUND, words));
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    let First::Answer(opening, mut output) = ticket.first().await else {
        panic!("no answer");
    };

    assert_eq!(opening.head.status, 404);
    assert_eq!(output.chunk().await.unwrap().unwrap(), words);
    assert_eq!(opening.failure.unwrap().kind.code(), "target_rejected");
    assert_eq!(rig.job(id).await.progress.state, JobState::Failed);
    assert_eq!(rig.fake.requests_to("/api/chat").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_target_reported_is_kept_with_the_job() {
    let rig = Rig::start().await;
    rig.fake.on("/api/chat", echo);
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    let seen = text(ticket).await;

    assert_eq!(rig.job(id).await.usage.unwrap().completion_tokens, 3);
    let kept = rig.store.answer(id).await.unwrap().unwrap();
    assert_eq!(kept.chunks.concat(), seen.as_bytes());
}

fn transcription() -> foreman_scheduler::NewRequest {
    let mut request = chat("a", "hi");
    request.endpoint = Endpoint::V1AudioTranscriptions;
    request.body = Bytes::from_static(b"--b\r\n...");
    let content_type = "multipart/form-data; boundary=b".to_owned();
    request.headers = [("content-type".to_owned(), content_type)].into();
    request
}

#[tokio::test(start_paused = true)]
async fn a_transcription_is_one_text_whatever_the_target_calls_it() {
    let rig = Rig::start().await;
    for content_type in ["application/x-ndjson", "application/json", "text/plain"] {
        let reply = FakeReply::new(StatusCode::OK, content_type).chunk("{\"text\":\"hi\"}\n");
        rig.fake.queue("/v1/audio/transcriptions", reply);

        let given = text(rig.submit(transcription()).await).await;

        assert_eq!(given, "{\"text\":\"hi\"}\n", "{content_type}");
    }
    let sent = &rig.fake.requests_to("/v1/audio/transcriptions")[0];
    assert_eq!(sent.body, "--b\r\n...");
    assert_eq!(
        sent.headers["content-type"],
        "multipart/form-data; boundary=b"
    );
}

#[tokio::test(start_paused = true)]
async fn a_transcription_that_broke_within_is_no_answer_and_silence_is_one() {
    let rig = Rig::start().await;
    let path = "/v1/audio/transcriptions";
    let broken = FakeReply::new(StatusCode::OK, "application/x-ndjson");
    rig.fake.queue(path, broken);
    let silence = FakeReply::new(StatusCode::OK, "text/plain");
    rig.fake.queue(path, silence);

    let First::Ended { ending, .. } = rig.submit(transcription()).await.first().await else {
        panic!("an answer without a text");
    };
    let silent = text(rig.submit(transcription()).await).await;

    assert_eq!(ending.failure().unwrap().kind, FailureKind::Incomplete);
    assert_eq!(silent, "");
}

#[tokio::test(start_paused = true)]
async fn an_answer_tells_how_long_its_job_waited_for_the_claim_that_led_to_it() {
    let rig = Rig::start().await;
    for seconds in [7, 60] {
        let reply = FakeReply::ndjson(&[DONE]).after(Duration::from_secs(seconds));
        rig.fake.queue("/api/chat", reply);
    }
    let first = rig.submit(chat("a", "1")).await;
    settle_down().await;
    let second = rig.submit(chat("a", "2")).await;

    let (first, second) = tokio::join!(first.first(), second.first());

    let queued = |first| match first {
        First::Answer(opening, _output) => opening.queued,
        First::Ended { ending, .. } => panic!("{ending:?}"),
    };
    assert_eq!(queued(first).as_secs(), 0);
    assert_eq!(queued(second).as_millis(), 6_999);
}

#[tokio::test(start_paused = true)]
async fn a_load_of_four_minutes_is_waited_for_and_seen() {
    let rig = Rig::start().await;
    let load = Duration::from_mins(4);
    rig.fake
        .queue("/api/chat", FakeReply::ndjson(&[TOKEN, DONE]).after(load));
    let ticket = rig.submit(chat("a", "hi")).await;
    let id = ticket.id();

    tokio::time::sleep(Duration::from_secs(239)).await;
    let before = rig.job(id).await.progress;
    let answer = text(ticket).await;

    assert_eq!((before.state, before.attempt), (JobState::Loading, 0));
    assert!(answer.ends_with(&format!("{DONE}\n")), "{answer}");
    let after = rig.job(id).await.progress;
    assert_eq!((after.state, after.attempt), (JobState::Done, 0));
}
