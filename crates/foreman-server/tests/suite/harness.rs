//! A server with everything behind it, and callers that speak raw HTTP.
#![expect(clippy::expect_used, reason = "a test fails where its setup fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foreman_job::SystemClock;
use foreman_ollama::{HyperClient, Inventory, OllamaClient, Poller, PollerConfig, TargetConfig};
use foreman_scheduler::{Scheduler, SchedulerConfig, SchedulerHandle, SeededRandom};
use foreman_server::{Metrics, Parts, Server, ServerConfig, Shutdown};
use foreman_store::{MemoryStore, QueueStore};
use foreman_stub::{Stub, StubBuilder};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes long; a test that waits for ever fails instead.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server with its scheduler, poller and target.
pub(crate) struct Front {
    pub(crate) stub: Stub,
    pub(crate) address: SocketAddr,
    pub(crate) scheduler: SchedulerHandle,
    pub(crate) drain: CancellationToken,
    pub(crate) force: CancellationToken,
    tasks: JoinSet<()>,
}

/// A caller's connection.
pub(crate) struct Caller {
    stream: TcpStream,
    /// What was read and not looked at yet.
    rest: Vec<u8>,
}

/// What a caller got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) chunks: Vec<String>,
}

impl Front {
    /// Starts everything with ordinary settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(ServerConfig::default(), Stub::builder()).await
    }

    pub(crate) async fn start_with(config: ServerConfig, stub: StubBuilder) -> Self {
        Self::start_all(config, stub, SchedulerConfig::default(), Start::Polled).await
    }

    pub(crate) async fn start_all(
        config: ServerConfig,
        stub: StubBuilder,
        scheduling: SchedulerConfig,
        start: Start,
    ) -> Self {
        let stub = stub.start().await.expect("stub starts");
        if start == Start::TargetAway {
            stub.stop_listening().await;
        }
        let target = TargetConfig {
            url: stub.url(),
            connect_timeout: Duration::from_secs(1),
            ..TargetConfig::default()
        };
        let client = Arc::new(HyperClient::new(target).expect("target address"));
        Self::start_on(client, stub, config, scheduling).await
    }

    /// Starts everything with a client of the test's own.
    pub(crate) async fn start_on(
        client: Arc<dyn OllamaClient>,
        stub: Stub,
        config: ServerConfig,
        scheduling: SchedulerConfig,
    ) -> Self {
        let store = Arc::new(MemoryStore::new());
        Self::start_over(store, client, stub, (config, scheduling)).await
    }

    /// Starts everything with a store of the test's own.
    pub(crate) async fn start_over(
        store: Arc<dyn QueueStore>,
        client: Arc<dyn OllamaClient>,
        stub: Stub,
        (config, scheduling): (ServerConfig, SchedulerConfig),
    ) -> Self {
        let mut tasks = JoinSet::new();
        let now = Arc::new(jiff::Timestamp::now);
        let poller = Poller::new(Arc::clone(&client), PollerConfig::default(), now, None);
        let inventory = poller.inventory();
        let (drain, force) = (CancellationToken::new(), CancellationToken::new());
        tasks.spawn(poller.run(force.clone()));
        // The first poll has been made, whatever came of it.
        let _polled = inventory.refresh().await;

        let stages = Shutdown {
            drain: drain.clone(),
            force: force.clone(),
        };
        let parts = scheduler_parts(store, &client, &inventory);
        let scheduler = Scheduler::new(parts, scheduling, stages.clone());
        let handle = scheduler.handle();
        tasks.spawn(async move { scheduler.run().await.expect("scheduler runs") });
        let parts = server_parts(&handle, &client, inventory);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("free port");
        let address = listener.local_addr().expect("address");
        let server = Server::new(config, parts);
        tasks.spawn(async move { server.run(listener, stages).await.expect("server runs") });
        Self {
            stub,
            address,
            scheduler: handle,
            drain,
            force,
            tasks,
        }
    }

    pub(crate) async fn caller(&self) -> Caller {
        let stream = TcpStream::connect(self.address).await.expect("connects");
        Caller {
            stream,
            rest: Vec::new(),
        }
    }

    /// Sends one request over a fresh connection.
    pub(crate) async fn ask(&self, head: &str, body: &str) -> Reply {
        let mut caller = self.caller().await;
        caller.send(head, body).await;
        caller.reply().await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.ask(&format!("POST {path}"), body).await
    }

    /// Waits until so many jobs are known.
    pub(crate) async fn until_queued(&self, jobs: u64) {
        until(|| self.scheduler.store().counts().queued == jobs).await;
    }

    /// Waits until nobody listens any more.
    pub(crate) async fn until_refusing(&self) {
        let refused = async { while TcpStream::connect(self.address).await.is_ok() {} };
        timeout(PATIENCE, refused)
            .await
            .expect("the listener closes");
    }

    /// Waits until everything has ended by itself.
    pub(crate) async fn ended(mut self) {
        timeout(PATIENCE, async {
            while let Some(task) = self.tasks.join_next().await {
                task.expect("no task panics");
            }
        })
        .await
        .expect("everything ends");
    }
}

fn scheduler_parts(
    store: Arc<dyn QueueStore>,
    client: &Arc<dyn OllamaClient>,
    inventory: &Inventory,
) -> foreman_scheduler::Parts {
    foreman_scheduler::Parts {
        store,
        client: Arc::clone(client),
        inventory: inventory.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SeededRandom::new(1)),
        metrics: foreman_scheduler::Metrics::default(),
    }
}

fn server_parts(
    scheduler: &SchedulerHandle,
    client: &Arc<dyn OllamaClient>,
    inventory: Inventory,
) -> Parts {
    let mut registry = Registry::default();
    let metrics = Metrics::registered(&mut registry);
    Parts {
        scheduler: scheduler.clone(),
        inventory,
        client: Arc::clone(client),
        clock: Arc::new(SystemClock),
        metrics,
        registry: Arc::new(registry),
    }
}

/// Whether the target is there at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Polled,
    TargetAway,
}

impl Caller {
    /// Sends a request; `head` is the method, the path and, on lines of their own, headers.
    pub(crate) async fn send(&mut self, head: &str, body: &str) {
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let mut text = format!("{line} HTTP/1.1\r\n");
        let named = |line: &str| line.trim().to_ascii_lowercase().starts_with("host:");
        if !headers.lines().any(named) {
            text.push_str("Host: localhost\r\n");
        }
        for header in headers.lines().filter(|line| !line.trim().is_empty()) {
            text.push_str(header.trim());
            text.push_str("\r\n");
        }
        if !body.is_empty() || line.starts_with("POST") {
            let length = format!("Content-Length: {}\r\n", body.len());
            text.push_str(&length);
        }
        self.send_raw(format!("{text}\r\n{body}").as_bytes()).await;
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sends");
    }

    /// Sends what the server may not want any more; false once it has closed the connection.
    pub(crate) async fn offer(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Sends nothing more, and would still read.
    pub(crate) async fn close_half(&mut self) {
        self.stream.shutdown().await.expect("closes");
    }

    /// Tells whether the server has sent something, or closed the connection.
    pub(crate) async fn has_news(&mut self) -> bool {
        let mut byte = [0];
        let peeked = timeout(Duration::ZERO, self.stream.peek(&mut byte));
        peeked.await.is_ok()
    }

    /// Reads one response with its body.
    pub(crate) async fn reply(&mut self) -> Reply {
        let (status, headers) = self.head().await;
        let chunks = self.body(status, &headers).await;
        Reply {
            status,
            headers,
            chunks,
        }
    }

    /// Reads the head of a response.
    pub(crate) async fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let text = self.until(b"\r\n\r\n").await;
        let mut lines = text.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|code| code.parse().ok())
            .expect("status line");
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        (status, headers)
    }

    /// Reads one chunk of a chunked body; empty at its end.
    pub(crate) async fn chunk(&mut self) -> String {
        let size = self.until(b"\r\n").await;
        let size = usize::from_str_radix(size.trim(), 16).expect("chunk size");
        let data = self.exactly(size + 2).await;
        data.strip_suffix("\r\n").expect("end of chunk").to_owned()
    }

    async fn body(&mut self, status: u16, headers: &[(String, String)]) -> Vec<String> {
        let find = |name: &str| headers.iter().find(|(known, _)| known == name);
        if status < 200 || status == 204 {
            return Vec::new();
        }
        if find("transfer-encoding").is_some() {
            let mut chunks = Vec::new();
            loop {
                let chunk = self.chunk().await;
                if chunk.is_empty() {
                    return chunks;
                }
                chunks.push(chunk);
            }
        }
        match find("content-length") {
            Some((_, length)) => {
                let length = length.parse().expect("length");
                vec![self.exactly(length).await]
            }
            None => vec![self.remainder().await],
        }
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn remainder(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.rest)).expect("utf-8")
    }

    /// Waits until the server has closed the connection, in whatever way.
    pub(crate) async fn gone(mut self) {
        let read = async { while matches!(self.stream.read_buf(&mut self.rest).await, Ok(1..)) {} };
        timeout(PATIENCE, read).await.expect("the server closes it");
    }

    async fn until(&mut self, mark: &[u8]) -> String {
        loop {
            let found = self.rest.windows(mark.len()).position(|it| it == mark);
            if let Some(at) = found {
                return self.take(at + mark.len());
            }
            assert!(self.more().await, "connection closed early");
        }
    }

    pub(crate) async fn exactly(&mut self, length: usize) -> String {
        while self.rest.len() < length {
            assert!(self.more().await, "connection closed early");
        }
        self.take(length)
    }

    fn take(&mut self, length: usize) -> String {
        let taken = self.rest.drain(..length).collect();
        String::from_utf8(taken).expect("utf-8")
    }

    /// Reads something; false at the end.
    async fn more(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.rest);
        let read = timeout(PATIENCE, read).await.expect("answers in time");
        read.expect("connection holds") > 0
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        self.chunks.concat()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text()).expect("json")
    }
}

/// Waits for a condition.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let fulfilled = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, fulfilled).await.expect("happens in time");
}

/// The body of a chat.
pub(crate) fn chat(text: &str) -> String {
    format!(r#"{{"model":"llama3.2:1b","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}
