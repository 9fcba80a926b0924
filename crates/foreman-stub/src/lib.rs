//! A scriptable Ollama: routes, errors, scheduler and framing of the real one, without models.
//!
//! Start with [`Stub::builder`], point a client at [`Stub::url`], and look at [`Stub::record`].
//! Answers echo the last user message. [`Stub::inject`] scripts faults, [`Stub::hold`] stops
//! requests at a [`Gate`], [`Stub::stop_listening`] takes the whole target away. It generates no
//! real text and computes no real embeddings.
//!
//! ```
//! use foreman_stub::{ModelSpec, Stub};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let stub = Stub::builder().model(ModelSpec::chat("llama3.2:1b")).start().await?;
//! assert!(stub.url().starts_with("http://127.0.0.1:"));
//! assert_eq!(stub.record().requests.len(), 0);
//! stub.shutdown().await;
//! # Ok::<(), foreman_stub::StubError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Directives
//!
//! Words at the start of a prompt script the answer to it:
//!
//! | directive | the answer |
//! |---|---|
//! | `stub:tokens=200` | has 200 tokens |
//! | `stub:pace=5ms` | has 5 ms between its tokens |
//! | `stub:first=1s` | begins after a second, with the slot taken |
//! | `stub:toolcall`, `stub:toolcall={"city":"Paris"}` | calls the first tool offered |
//! | `stub:nothoughts` | comes without thoughts, though the model can think |
//! | `stub:nologprobs` | comes without log probabilities, though they are asked for |
//! | `stub:nodone` | ends without its last event |
//! | `stub:error-mid` | breaks after two tokens: the runner dies |
//! | `stub:error400`, `stub:error500` | is an error of the runner |
//! | `stub:crash0` | is an error: the runner dies before the first token |
//!
//! # Known differences
//!
//! A client that closes its sending half is disconnected, where Ollama leaves the socket open
//! and never answers. A request body is read to its end before anything is done. Remote models
//! are refused as if the cloud were disabled. Bodies in zstd are not decoded.

mod body;
mod builder;
mod clock;
mod conn;
mod core;
mod cors;
mod duration;
mod error;
mod fault;
mod frame;
mod gate;
mod generate;
mod gojson;
mod model;
mod reading;
mod record;
mod reply;
mod request;
mod router;
mod routes;
mod scheduler;
mod server;
mod stub;

pub use builder::{StubBuilder, StubOptions, default_models};
pub use clock::Clock;
pub use duration::parse_duration;
pub use error::{DurationError, StubError, WaitError};
pub use fault::{Fault, FaultHandle, FaultRule};
pub use gate::{Gate, Hold};
pub use model::ModelSpec;
pub use reading::{ChatReading, KeepReading, read_chat};
pub use record::{
    Counts, End, Eviction, EvictionReason, Load, LoadReason, Record, RecordMode, RecordedBody,
    RequestRecord,
};
pub use stub::Stub;
