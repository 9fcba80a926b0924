//! Callers that wait for the slot.

use std::time::Duration;

use ollama_rs::{Ollama, generation::chat::ChatMessageResponseStream, headers::HeaderMap};
use tokio::time::sleep;
use tokio_stream::StreamExt as _;

use crate::{
    CLIENT, Outcome, Problem, Report,
    checks::{ask, request, streamed, texts},
    expect::{CHAT_MODEL, ENDLESS, WORDS, expect},
};

/// How long each caller waits.
const WAITED: Duration = Duration::from_secs(3);
/// How long no byte may come where heartbeats must keep the caller.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// Runs the checks against an ordinary foreman and one that sends interim responses often.
pub async fn run(report: &mut Report, ordinary: &str, interim: &str) -> Outcome {
    println!("== {CLIENT} {}", env!("OLLAMA_RS_VERSION"));
    let patient = Ollama::try_new(ordinary)?;
    let through = through_heartbeats(&patient, ordinary);
    report.check("waits through heartbeats", through).await;
    let interim = Ollama::try_new(interim)?;
    let through = answered_after_wait(&interim, &interim);
    let title = "waits through interim responses";
    report.check(title, through).await;
    Ok(())
}

async fn through_heartbeats(patient: &Ollama, url: &str) -> Outcome {
    let mut headers = HeaderMap::new();
    headers.insert("x-foreman-heartbeat", "1s".parse()?);
    let impatient = Ollama::builder()
        .url(url)
        .request_headers(headers)
        .reqwest_client(
            reqwest::Client::builder()
                .read_timeout(READ_LIMIT)
                .build()?,
        )
        .build();
    answered_after_wait(patient, &impatient).await
}

/// Expects a client that waits for the slot to get what it gets without waiting.
async fn answered_after_wait(holder: &Ollama, client: &Ollama) -> Outcome {
    let whole = ask(holder, WORDS).await?;
    let held = hold_slot(holder).await?;
    let release = async {
        sleep(WAITED).await;
        drop(held);
    };
    let streaming = streamed(client, request(CHAT_MODEL, WORDS));
    let ((), waited, pieces) = tokio::join!(release, ask(client, WORDS), streaming);
    let (waited, pieces) = (waited?, texts(&pieces?).concat());
    expect(waited == whole, format!("got {waited:?}"))?;
    expect(pieces == whole, format!("streamed {pieces:?}"))
}

/// Takes the slot with an answer that has no end, until it is dropped.
async fn hold_slot(ollama: &Ollama) -> Result<ChatMessageResponseStream, Problem> {
    let mut stream = ollama
        .send_chat_messages_stream(request(CHAT_MODEL, ENDLESS))
        .await?;
    let piece = stream.next().await;
    expect(matches!(piece, Some(Ok(_))), "the slot is not held")?;
    Ok(stream)
}
