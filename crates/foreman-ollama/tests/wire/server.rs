//! A TCP server whose every byte is written by the test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foreman_ollama::{Deadlines, HyperClient, OllamaClient, TargetConfig, TargetRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Generous: only a test that fails waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Listens on loopback and gives each connection, with its number from zero, to a script.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start<F>(script: impl Fn(usize, Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let peer = Peer {
                    stream,
                    unread: Vec::new(),
                };
                peers.spawn(script(number, peer));
            }
        });
        Self {
            address,
            connections,
            _tasks: tasks,
        }
    }

    /// Answers one request of one connection with these bytes, then closes.
    pub(crate) async fn once(answer: &'static str) -> Self {
        Self::start(move |_, mut peer| async move {
            peer.request().await;
            peer.send(answer).await;
        })
        .await
    }

    /// Answers every request of every connection with these bytes.
    pub(crate) async fn always(answer: &'static str) -> Self {
        Self::start(move |_, mut peer| async move {
            while peer.try_request().await.is_some() {
                peer.send(answer).await;
            }
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn client(&self) -> HyperClient {
        self.client_with(|_| {})
    }

    pub(crate) fn client_with(&self, change: impl FnOnce(&mut TargetConfig)) -> HyperClient {
        let mut config = TargetConfig {
            url: format!("http://{}", self.address),
            connect_timeout: PATIENCE,
            first_byte_timeout: PATIENCE,
            idle_timeout: PATIENCE,
            ..TargetConfig::default()
        };
        change(&mut config);
        HyperClient::new(config).expect("client")
    }
}

/// The server's side of one connection.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// Reads one request whole and returns it as text.
    pub(crate) async fn request(&mut self) -> String {
        self.try_request().await.expect("a request")
    }

    /// Reads one request; `None` if the connection ends first.
    pub(crate) async fn try_request(&mut self) -> Option<String> {
        let head_end = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(self.unread.get(..head_end)?).to_ascii_lowercase();
        let end = if head.contains("transfer-encoding: chunked") {
            self.until(b"0\r\n\r\n").await?
        } else {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.trim().parse().expect("length"));
            let end = head_end.saturating_add(length);
            while self.unread.len() < end {
                self.fill().await?;
            }
            end
        };
        let rest = self.unread.split_off(end);
        let request = std::mem::replace(&mut self.unread, rest);
        Some(String::from_utf8_lossy(&request).into_owned())
    }

    /// Reads no more than the head of a request.
    pub(crate) async fn request_head(&mut self) {
        self.until(b"\r\n\r\n").await.expect("a head");
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may have left, which some tests want.
        drop(self.stream.write_all(bytes.as_ref()).await);
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn until_closed(&mut self) {
        while self.fill().await.is_some() {}
    }

    /// Tells whether the client has sent, or ended, anything more.
    pub(crate) fn is_quiet(&self) -> bool {
        let tried = self.stream.try_read(&mut [0; 1]);
        tried.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Closes the connection in the hard way.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().expect("linger");
    }

    async fn until(&mut self, mark: &[u8]) -> Option<usize> {
        loop {
            let found = self
                .unread
                .windows(mark.len())
                .position(|window| window == mark);
            if let Some(at) = found {
                return Some(at.saturating_add(mark.len()));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.unread).await.ok()?;
        (read > 0).then_some(())
    }
}

/// Asks for `/x` with the client's own deadlines.
pub(crate) fn get(client: &HyperClient) -> TargetRequest {
    TargetRequest::get("/x", client.deadlines())
}

/// Posts `{}` to `/x` with the client's own deadlines.
pub(crate) fn post(client: &HyperClient) -> TargetRequest {
    TargetRequest::post("/x", "{}".into(), client.deadlines())
}

/// The shortest wait: for servers that stay silent for ever.
pub(crate) const NO_PATIENCE: Deadlines = Deadlines {
    first_byte: Some(Duration::from_millis(20)),
    idle: Some(Duration::from_millis(20)),
};
