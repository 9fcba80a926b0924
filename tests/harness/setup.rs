//! A foreman in front of a stub, and the requests that tests send most.

use foreman_stub::{Stub, StubBuilder};
use serde_json::{Value, json};

use crate::{Builder, Foreman};

/// A foreman and its target.
#[derive(Debug)]
pub struct Pair {
    /// The target.
    pub stub: Stub,
    /// The foreman in front of it.
    pub foreman: Foreman,
}

impl Pair {
    /// Starts both.
    pub async fn start(stub: StubBuilder, foreman: Builder) -> Self {
        let stub = stub.start().await.expect("start the stub");
        let foreman = foreman.target(&stub.url()).start().await;
        Self { stub, foreman }
    }
}

/// Starts a stub with the default models and no delays.
pub fn stub() -> StubBuilder {
    Stub::builder()
}

/// Makes a chat that is answered in one piece.
pub fn chat(model: &str, prompt: &str) -> Value {
    json!({"model": model, "stream": false, "messages": [{"role": "user", "content": prompt}]})
}

/// Makes a chat that is answered in chunks.
pub fn chat_stream(model: &str, prompt: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": prompt}]})
}
