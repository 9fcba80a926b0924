//! The queue without HTTP: a store, a target and a scheduler in one's own program.
//!
//! `cargo run -p foreman-scheduler --example embed`. The target is made up in memory; for a real one
//! make a `HyperClient` instead of the `FakeOllama`, the rest stays as it is.

use std::error::Error;
use std::io::{Write, stdout};
use std::sync::Arc;

use bytes::Bytes;
use foreman_job::{Endpoint, Priority, SteadyClock};
use foreman_ollama::{
    Api, FakeOllama, FakeReply, InventorySnapshot, OllamaClient, Poller, PollerConfig, scan,
};
use foreman_scheduler::{
    First, Metrics, NewRequest, Parts, Scheduler, SchedulerConfig, SchedulerHandle, SeededRandom,
    Shutdown, Submitted, Ticket, WhenCallerLeaves, runner_key,
};
use foreman_store::{QueueStore, SqliteConfig, SqliteStore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PROMPTS: [&str; 3] = ["why is the sky blue?", "and the sea?", "and the grass?"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let config = SqliteConfig::new(directory.path().join("queue.db"));
    let store: Arc<dyn QueueStore> = Arc::new(SqliteStore::open(&config)?);
    let client: Arc<dyn OllamaClient> = Arc::new(target());

    // The poller knows what the target has; the scheduler asks it what is loaded.
    let mut tasks = JoinSet::new();
    let stop = CancellationToken::new();
    let now = Arc::new(jiff::Timestamp::now);
    let poller = Poller::new(Arc::clone(&client), PollerConfig::default(), now, None);
    let inventory = poller.inventory();
    tasks.spawn(poller.run(stop.clone()));

    let shutdown = Shutdown::default();
    let parts = Parts {
        store: Arc::clone(&store),
        client,
        inventory: inventory.clone(),
        clock: Arc::new(SteadyClock::default()),
        random: Arc::new(SeededRandom::from_entropy()),
        metrics: Metrics::default(),
    };
    let scheduler = Scheduler::new(parts, SchedulerConfig::default(), shutdown.clone());
    let handle = scheduler.handle();
    // What an earlier life left running runs again.
    scheduler.recover().await?;
    let mut running = JoinSet::new();
    running.spawn(scheduler.run());

    // All three are durable before the first is waited for.
    let mut tickets = Vec::new();
    for prompt in PROMPTS {
        let request = request(&inventory.snapshot(), prompt)?;
        tickets.push(submit(&handle, request).await?);
    }
    for ticket in tickets {
        let id = ticket.id();
        let answer = answer(ticket).await?;
        write!(stdout(), "{id}\n{answer}\n")?;
    }

    shutdown.drain.cancel();
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    stop.cancel();
    store.close().await?;
    Ok(())
}

/// Makes a request as a caller over HTTP would have sent it.
fn request(inventory: &InventorySnapshot, prompt: &str) -> Result<NewRequest, Box<dyn Error>> {
    let body = serde_json::json!({
        "model": "llama3",
        "messages": [{"role": "user", "content": prompt}],
    });
    let body = Bytes::from(body.to_string());
    let head = scan(Api::Chat, &body)?;
    Ok(NewRequest {
        endpoint: Endpoint::Chat,
        runner: runner_key(inventory, &head.name, &head.load_options),
        model: head.model.clone(),
        priority: Priority::Normal,
        caller: Some("embed".to_owned()),
        not_before: None,
        expires_in: None,
        when_caller_leaves: WhenCallerLeaves::Cancel,
        headers: [].into(),
        body,
        head: Some(head),
        idempotency: None,
        retry_of: None,
        metadata: None,
        resendable: None,
        max_queued: None,
    })
}

async fn submit(handle: &SchedulerHandle, request: NewRequest) -> Result<Ticket, Box<dyn Error>> {
    match handle.submit(request).await? {
        Submitted::New(ticket) | Submitted::Attached(ticket) => Ok(ticket),
        Submitted::Ended(job) => Err(format!("{} was done before", job.id).into()),
    }
}

/// Reads an answer to its end; a program that shows it would write each chunk as it comes.
async fn answer(ticket: Ticket) -> Result<String, Box<dyn Error>> {
    let mut output = match ticket.first().await {
        First::Answer(_, output) => output,
        First::Ended { ending, .. } => return Err(format!("no answer: {ending:?}").into()),
    };
    let mut answer = Vec::new();
    while let Some(chunk) = output.chunk().await {
        let chunk = chunk.map_err(|ending| format!("broken off: {ending:?}"))?;
        answer.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8(answer)?)
}

/// A target that has one model and always says the same.
fn target() -> FakeOllama {
    let target = FakeOllama::new();
    target.on("/api/chat", |_| {
        FakeReply::ndjson(&[
            r#"{"message":{"role":"assistant","content":"because"},"done":false}"#,
            r#"{"message":{"role":"assistant","content":"."},"done":true,"done_reason":"stop"}"#,
        ])
    });
    target
}
