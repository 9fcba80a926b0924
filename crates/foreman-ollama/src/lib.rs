//! Talks to one Ollama server: requests, answers, model names and what the server has loaded.
//!
//! Start with [`HyperClient`] (a pooled connection to the target) behind [`OllamaClient`], with
//! [`scan`] (what scheduling needs to know of a request body) and with [`Poller`] (what the target
//! has and holds in memory). The crate knows nothing of jobs, queues or callers.
//!
//! ```
//! use foreman_ollama::{Api, ModelName, scan};
//!
//! let head = scan(Api::Chat, br#"{"MODEL":"llama3","messages":[{"role":"user","content":"hi"}]}"#)?;
//! assert!(head.stream, "a chat streams unless it says otherwise");
//! assert_eq!(ModelName::parse(&head.model)?.canonical(), "llama3:latest");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod config;
mod endings;
mod error;
#[cfg(any(test, feature = "fake"))]
mod fake;
mod framing;
mod headers;
mod name;
mod poller;
mod request;
mod residency;
mod resolver;
mod secret;
mod stream;
mod url;
mod wire;

pub use client::{Answer, BoxError, OllamaClient, TargetBody, TargetRequest, TargetResponse};
pub use config::{Deadlines, TargetConfig};
pub use endings::{Ending, EndingDetector, Unfinished, Usage};
pub use error::{ConfigError, ErrorKind, TargetError};
#[cfg(any(test, feature = "fake"))]
pub use fake::{FakeOllama, FakeReply, RecordedRequest};
pub use framing::{ChunkAssembler, Framing, LineTooLong};
pub use headers::forwardable_headers;
pub use name::{ModelName, NameError, Source};
pub use poller::{
    Inventory, InventorySnapshot, ModelEntry, Poller, PollerConfig, SnapshotError, WallClock,
};
pub use request::{
    Api, KeepAlive, KeepAliveError, LoadOptions, Rejection, RequestHead, RequestKind, Shape, scan,
    scan_form, unknown_model, with_keep_alive,
};
pub use residency::ResidentModel;
pub use resolver::{Resolver, SystemResolver};
pub use secret::Secret;
pub use stream::TargetStream;
pub use url::{TargetUrl, TargetUrlError};
pub use wire::HyperClient;
