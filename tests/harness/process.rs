//! The real program as a process of its own: started, killed, read.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Disk, Exchange, Reply, eventually, within};

/// What the program writes as its log, line by line.
#[derive(Debug, Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<Value>>>,
    count: watch::Receiver<usize>,
}

/// How the program is to be started.
#[derive(Debug)]
pub struct Builder {
    program: PathBuf,
    /// The name that it is told to have.
    name: Option<String>,
    directory: Arc<TempDir>,
    settings: Vec<(String, String)>,
}

/// A running foreman. Dropping it kills it.
#[derive(Debug)]
pub struct Foreman {
    child: Child,
    url: String,
    log: Log,
    directory: Arc<TempDir>,
    readers: JoinSet<()>,
}

impl Builder {
    /// Starts from a program and a fresh directory.
    pub fn new(program: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self {
            program: PathBuf::from(program),
            name: None,
            directory: Arc::new(directory),
            settings: Vec::new(),
        }
    }

    /// Uses the directory, and so the database, of another foreman.
    #[must_use]
    pub fn after(mut self, other: &Foreman) -> Self {
        self.directory = Arc::clone(&other.directory);
        self
    }

    /// Starts from the same program, settings and directory.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            program: self.program.clone(),
            name: self.name.clone(),
            directory: Arc::clone(&self.directory),
            settings: self.settings.clone(),
        }
    }

    /// Tells the program that it has this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Names the target.
    #[must_use]
    pub fn target(self, url: &str) -> Self {
        self.set("OLLAMA_URL", url)
    }

    /// Sets a setting by its name without the prefix.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings
            .push((format!("FOREMAN_{name}"), value.to_owned()));
        self
    }

    /// Puts its database on a disk that does what the test says.
    #[must_use]
    pub fn on(mut self, disk: &Disk) -> Self {
        let database = self.database();
        self.settings.extend(disk.environment(&database));
        self
    }

    /// Returns the file of its database.
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("foreman.db")
    }

    /// Sets any variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the directory of the database.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts `foreman serve` and waits until it has ended by itself.
    pub async fn ends(&self) -> ExitStatus {
        let output = within("foreman to end", self.command().arg("serve").output());
        output.await.expect("start foreman").status
    }

    /// Returns the command, ready for a first argument.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        command
            .env_clear()
            .current_dir(self.directory.path())
            .env("FOREMAN_DB", self.database())
            .env("FOREMAN_LISTEN", "127.0.0.1:0")
            .env("FOREMAN_LOG_FORMAT", "json")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts `foreman serve` and waits until it listens.
    pub async fn start(self) -> Foreman {
        let mut child = self.command().arg("serve").spawn().expect("start foreman");
        let mut readers = JoinSet::new();
        let log = Log::read(child.stderr.take().expect("its log"), &mut readers);
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let url = within("foreman to listen", async {
            while let Some(line) = lines.next_line().await.expect("its output") {
                if let Some((_, url)) = line.split_once("listening on ") {
                    return Some(url.trim().to_owned());
                }
            }
            None
        });
        let Some(url) = url.await else {
            panic!("foreman ended before it listened: {:#?}", log.lines());
        };
        readers.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Foreman {
            child,
            url,
            log,
            directory: self.directory,
            readers,
        }
    }
}

impl Foreman {
    /// Returns where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Returns the file of its database.
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("foreman.db")
    }

    /// Returns its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Asks it something.
    pub async fn get(&self, path: &str) -> Reply {
        Exchange::get(&self.url, path).await.reply().await
    }

    /// Posts JSON and reads the whole answer.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        Exchange::post(&self.url, path, body).await.reply().await
    }

    /// Returns its health.
    pub async fn health(&self) -> Value {
        self.get("/healthz").await.json()
    }

    /// Waits until no job waits and none is at work.
    ///
    /// The counts are of one moment; which job runs is told a little after its claim.
    pub async fn until_idle(&self) {
        eventually("an empty queue", || async {
            let health = self.health().await;
            let count = |state| health.get("queue")?.get(state)?.as_u64();
            let counts = ["queued", "loading", "working"].map(count);
            counts == [Some(0); 3]
        })
        .await;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("a running foreman");
        let id = i32::try_from(id).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process id"), signal).expect("send a signal");
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("kill foreman");
    }

    /// Waits until it ends by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let status = within("foreman to end", self.child.wait())
            .await
            .expect("its exit status");
        // What it wrote last is read by then.
        let read = async { while self.readers.join_next().await.is_some() {} };
        within("its log to end", read).await;
        status
    }

    /// Returns its resident memory in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Returns the most resident memory that it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let id = self.child.id().expect("a running foreman");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.expect("its memory") * 1024
    }
}

impl Log {
    fn read(from: impl AsyncRead + Unpin + Send + 'static, readers: &mut JoinSet<()>) -> Self {
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let (counter, count) = watch::channel(0);
        let mut source = BufReader::new(from).lines();
        let sink = Arc::clone(&lines);
        readers.spawn(async move {
            while let Ok(Some(line)) = source.next_line().await {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(value);
                counter.send_modify(|count| *count += 1);
            }
        });
        Self { lines, count }
    }

    /// Returns the lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the lines with a field of this value.
    pub fn having(&self, field: &str, value: impl Into<Value>) -> Vec<Value> {
        let value = value.into();
        let lines = self.lines();
        lines
            .into_iter()
            .filter(|line| line.get(field) == Some(&value))
            .collect()
    }

    /// Waits until the lines so far fulfil a condition.
    pub async fn until(&self, what: &str, condition: impl Fn(&[Value]) -> bool) {
        let mut count = self.count.clone();
        within(what, async {
            loop {
                count.mark_unchanged();
                if condition(&self.lines()) {
                    return;
                }
                count.changed().await.expect("the log goes on");
            }
        })
        .await;
    }
}
