//! Foreman's HTTP front in one's own program, beside whatever else that program does.
//!
//! `cargo run -p foreman-server --example mount`. The target is the stub and the queue is kept in
//! memory; for real use take the address of an Ollama, and a `SqliteStore` for the `MemoryStore`.

use std::error::Error;
use std::io::{Write, stdout};
use std::sync::Arc;

use bytes::Bytes;
use foreman_job::{Priority, SteadyClock};
use foreman_ollama::{
    Deadlines, HyperClient, Inventory, OllamaClient, Poller, PollerConfig, Secret, TargetConfig,
    TargetRequest,
};
use foreman_scheduler::{Scheduler, SchedulerConfig, SchedulerHandle, SeededRandom, Shutdown};
use foreman_server::{Metrics, Parts, Server, ServerConfig, TokenEntry};
use foreman_store::MemoryStore;
use foreman_stub::Stub;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "open-sesame";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stub = Stub::builder().start().await?;
    let target = TargetConfig {
        url: stub.url(),
        ..TargetConfig::default()
    };
    let client: Arc<dyn OllamaClient> = Arc::new(HyperClient::new(target)?);
    let mut tasks = JoinSet::new();
    let stop = CancellationToken::new();
    let now = Arc::new(jiff::Timestamp::now);
    let poller = Poller::new(Arc::clone(&client), PollerConfig::default(), now, None);
    let inventory = poller.inventory();
    tasks.spawn(poller.run(stop.clone()));
    inventory.refresh().await?;

    // One registry for the whole program: its own instruments may be in it too.
    let mut registry = Registry::default();
    let shutdown = Shutdown::default();
    let scheduler = scheduler(&client, &inventory, &mut registry, &shutdown);
    let handle = scheduler.handle();
    let mut scheduling = JoinSet::new();
    scheduling.spawn(scheduler.run());

    let server = server(handle, inventory, client, registry);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut serving = JoinSet::new();
    serving.spawn(server.run(listener, shutdown.clone()));

    writeln!(stdout(), "{}", ask(&url).await?)?;

    shutdown.drain.cancel();
    while let Some(ended) = scheduling.join_next().await {
        ended??;
    }
    while let Some(ended) = serving.join_next().await {
        ended??;
    }
    stop.cancel();
    stub.shutdown().await;
    Ok(())
}

fn scheduler(
    client: &Arc<dyn OllamaClient>,
    inventory: &Inventory,
    registry: &mut Registry,
    shutdown: &Shutdown,
) -> Scheduler {
    let parts = foreman_scheduler::Parts {
        store: Arc::new(MemoryStore::new()),
        client: Arc::clone(client),
        inventory: inventory.clone(),
        clock: Arc::new(SteadyClock::default()),
        random: Arc::new(SeededRandom::from_entropy()),
        metrics: foreman_scheduler::Metrics::registered(registry),
    };
    Scheduler::new(parts, SchedulerConfig::default(), shutdown.clone())
}

fn server(
    scheduler: SchedulerHandle,
    inventory: Inventory,
    client: Arc<dyn OllamaClient>,
    mut registry: Registry,
) -> Server {
    let config = ServerConfig {
        tokens: vec![TokenEntry::new("alice", TOKEN, Priority::High)],
        ..ServerConfig::default()
    };
    let parts = Parts {
        scheduler,
        inventory,
        client,
        clock: Arc::new(SteadyClock::default()),
        metrics: Metrics::registered(&mut registry),
        registry: Arc::new(registry),
    };
    Server::new(config, parts)
}

/// Asks as any client of Ollama would.
async fn ask(url: &str) -> Result<String, Box<dyn Error>> {
    let client = HyperClient::new(TargetConfig {
        url: url.to_owned(),
        token: Some(Secret::new(TOKEN)),
        ..TargetConfig::default()
    })?;
    let body = serde_json::json!({
        "model": "llama3.2:1b",
        "stream": false,
        "messages": [{"role": "user", "content": "hello"}],
    });
    let body = Bytes::from(body.to_string());
    let request = TargetRequest::post("/api/chat", body, Deadlines::UNLIMITED);
    let answer = client.forward(request).await?.body.collect(1 << 20).await?;
    Ok(String::from_utf8(answer.to_vec())?)
}
