//! What a caller sees of a healthy run.

use foreman_job::JobState;
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
