//! The programs that are measured, each as a process of its own.

use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use foreman_stub::{ModelSpec, RecordMode, Stub};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::probe;

/// The first argument that makes this program the stub.
pub(crate) const AS_STUB: &str = "--be-the-stub";

/// The first argument that makes this program a bare proxy; the second is its target.
pub(crate) const AS_BARE_PROXY: &str = "--be-a-bare-proxy";

/// The model of the chats; the others have a number after it.
pub(crate) const CHAT: &str = "chat:1b";

/// The model of the embeddings.
pub(crate) const EMBED: &str = "embed:1b";

/// Models of the stub beside these.
pub(crate) const MODELS: usize = 50;

/// A program is up within this time, or not at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait before a program is looked at again.
const LOOK: Duration = Duration::from_millis(1);

/// The foreman that is measured, where it was named.
static OTHER: OnceLock<PathBuf> = OnceLock::new();

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Kept, so that the program can go on writing.
    _output: Option<Lines<BufReader<ChildStdout>>>,
}

/// Serves as the stub until killed: without delays, keeping no record.
pub(crate) async fn be_stub() {
    let mut builder = Stub::builder()
        .model(ModelSpec::chat(CHAT))
        .model(ModelSpec::embedding(EMBED).dimensions(32))
        .parallel(512)
        .max_queue(20_000)
        .recording(RecordMode::Counters);
    for number in 0..MODELS {
        builder = builder.model(ModelSpec::chat(&format!("chat{number}:1b")));
    }
    let stub = builder.start().await.expect("start the stub");
    writeln!(io::stdout(), "listening on {}", stub.url()).expect("say where");
    io::stdout().flush().expect("say where");
    std::future::pending::<()>().await;
}

impl Program {
    /// Starts the stub.
    pub(crate) async fn stub() -> Self {
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command.arg(AS_STUB);
        Self::announced(command).await
    }

    /// Starts foreman with its database in a directory.
    pub(crate) async fn foreman(
        target: SocketAddr,
        directory: &Path,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(foreman());
        let log = File::create(directory.join("foreman.log")).expect("a log");
        command
            .arg("serve")
            .env_clear()
            .current_dir(directory)
            .env("FOREMAN_DB", directory.join("foreman.db"))
            .env("FOREMAN_LISTEN", "127.0.0.1:0")
            .env("FOREMAN_OLLAMA_URL", format!("http://{target}"))
            .envs(settings.iter().copied())
            .stderr(Stdio::from(log));
        Self::announced(command).await
    }

    /// Starts a proxy that does nothing but pass on.
    pub(crate) async fn bare_proxy(target: SocketAddr) -> Self {
        let this = std::env::current_exe().expect("this program");
        let mut command = Command::new(this);
        command.arg(AS_BARE_PROXY).arg(target.to_string());
        Self::announced(command).await
    }

    /// Starts nginx with one worker in front of a target; none where it is not installed.
    pub(crate) async fn nginx(target: SocketAddr, directory: &Path) -> Option<Self> {
        let address = free_address();
        let path = directory.join("nginx.conf");
        let text = include_str!("nginx.conf")
            .replace("{directory}", &directory.display().to_string())
            .replace("{listen}", &address.to_string())
            .replace("{target}", &target.to_string());
        std::fs::write(&path, text).expect("write its settings");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(directory).arg("-c").arg(path);
        command.arg("-e").arg(directory.join("nginx.log"));
        Self::silent(command, address).await
    }

    /// Starts ollamaMQ in front of a target; none where it is not installed.
    pub(crate) async fn ollama_mq(target: SocketAddr, directory: &Path) -> Option<Self> {
        let address = free_address();
        let mut command = Command::new("ollamaMQ");
        command
            .current_dir(directory)
            .arg("--no-tui")
            .args(["--host", "127.0.0.1"])
            .args(["--port", &address.port().to_string()])
            .args(["--backend-urls", &format!("http://{target}")]);
        Self::silent(command, address).await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("a running program")
    }

    /// Returns how long it has computed so far.
    pub(crate) fn cpu(&self) -> Duration {
        probe::cpu(self.pid())
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("kill a program");
    }

    /// Starts a program that says where it listens.
    async fn announced(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("start a program");
        let output = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let said = async {
            loop {
                let line = lines.next_line().await.expect("its output");
                let line = line.expect("it says where it listens");
                if let Some((_, url)) = line.split_once("listening on http://") {
                    return url.trim().trim_end_matches('/').to_owned();
                }
            }
        };
        let said = tokio::time::timeout(PATIENCE, said).await;
        let address = said.expect("it starts").parse().expect("an address");
        Self {
            child,
            address,
            _output: Some(lines),
        }
    }

    /// Starts a program that says nothing, and waits until it listens.
    async fn silent(mut command: Command, address: SocketAddr) -> Option<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => panic!("start a program: {error}"),
        };
        let listens = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let listens = tokio::time::timeout(PATIENCE, listens).await;
        listens.expect("it listens");
        Some(Self {
            child,
            address,
            _output: None,
        })
    }
}

/// Measures this program in place of the one that was built with the benchmark.
pub(crate) fn measure_foreman(path: PathBuf) {
    assert!(OTHER.set(path).is_ok(), "one foreman is measured");
}

/// Returns the program under test.
pub(crate) fn foreman() -> PathBuf {
    let own = || PathBuf::from(env!("CARGO_BIN_EXE_foreman-under-test"));
    OTHER.get().cloned().unwrap_or_else(own)
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}
