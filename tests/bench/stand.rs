//! What a row measures with: a stub, a foreman in front of it, a directory.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::http::Connection;
use crate::load::{Load, Served};
use crate::probe;
use crate::programs::Program;

/// A foreman in front of a stub.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) stub: Program,
    pub(crate) foreman: Program,
    pub(crate) directory: TempDir,
}

/// A load and what it cost the program that served it.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) served: Served,
    /// What the program has computed meanwhile.
    pub(crate) cpu: Duration,
}

impl Stand {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let stub = Program::stub().await;
        let foreman = Program::foreman(stub.address, directory.path(), settings).await;
        Self {
            stub,
            foreman,
            directory,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns how long the disk takes to make something durable.
    pub(crate) fn fdatasync(&self) -> Duration {
        probe::fdatasync(self.directory())
    }

    /// Starts nothing that is submitted from now on.
    pub(crate) async fn pause(&self) {
        let mut connection = Connection::open(self.foreman.address).await;
        let request = "POST /foreman/v1/queue/pause HTTP/1.1\r\nHost: localhost\r\n\
                       Content-Length: 2\r\n\r\n{}";
        let answer = connection.ask(request.as_bytes()).await;
        assert_eq!(answer.status, 200, "pause the queue");
    }

    /// Returns how many jobs wait, as foreman counts them.
    pub(crate) async fn waiting(&self) -> u64 {
        let mut connection = Connection::open(self.foreman.address).await;
        let answer = connection.get("/foreman/v1/queue").await;
        let queue: serde_json::Value = serde_json::from_slice(answer.body).expect("the queue");
        let waiting = queue.get("queued").and_then(serde_json::Value::as_u64);
        waiting.unwrap_or_else(|| panic!("no count of waiting jobs: {queue}"))
    }
}

impl Load {
    /// The same load on another program.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    /// Runs on a program, and says what it cost.
    pub(crate) async fn on(&self, program: &Program) -> Measured {
        let load = self.at(program.address);
        let before = program.cpu();
        let served = load.run().await;
        Measured {
            served,
            cpu: program.cpu().saturating_sub(before),
        }
    }
}

impl Measured {
    /// What the program has computed for each request.
    pub(crate) fn cpu_each(&self) -> Duration {
        let count = u32::try_from(self.served.count).expect("a count");
        self.cpu / count.max(1)
    }
}
