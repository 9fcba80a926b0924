//! What the start says on standard output: where it listens, what it found, what to try.

use std::io::{self, Write};
use std::net::SocketAddr;

use foreman_ollama::InventorySnapshot;
use foreman_store::Recovery;
use serde_json::Value;

use crate::settings::Settings;

/// What is told.
pub(super) struct Greeting<'a> {
    pub(super) settings: &'a Settings,
    pub(super) address: SocketAddr,
    pub(super) inventory: &'a InventorySnapshot,
    pub(super) recovery: &'a Recovery,
    pub(super) target: Target,
}

/// What kind of target it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An Ollama.
    Ollama,
    /// The embedded stub.
    Stub,
}

impl Greeting<'_> {
    /// Writes it.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let url = format!("http://{}", self.address);
        writeln!(
            out,
            "foreman {} listening on {url}",
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(
            out,
            "  target    {} ({})",
            self.settings.target.url,
            self.state()
        )?;
        if self.target == Target::Stub {
            writeln!(
                out,
                "            *** THE TARGET IS THE EMBEDDED STUB: answers are made up, no model runs ***"
            )?;
            writeln!(
                out,
                "            *** for real ones: foreman serve --target http://127.0.0.1:11434 ***"
            )?;
        }
        let queued = self.recovery.queued;
        writeln!(
            out,
            "  database  {} ({queued} jobs waiting)",
            self.settings.db.display()
        )?;
        let model = self.chat_model();
        writeln!(
            out,
            r#"  try       curl {url}/api/chat -d '{{"model":"{model}","messages":[{{"role":"user","content":"Hello!"}}]}}'"#
        )?;
        out.flush()
    }

    fn state(&self) -> String {
        let known = self.inventory.models.len();
        if !self.inventory.degraded && self.inventory.last_poll.is_some() {
            return format!("Ollama {}, {known} models", self.version());
        }
        let reason = self
            .inventory
            .last_error
            .as_deref()
            .unwrap_or("no answer yet");
        format!("not reachable: {reason}; {known} models known, chats wait until it is back")
    }

    fn version(&self) -> String {
        let answer = self.inventory.version.as_ref();
        let body = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
        let version = body.as_ref().and_then(|body| body.get("version"));
        version
            .and_then(Value::as_str)
            .unwrap_or("of unknown version")
            .to_owned()
    }

    /// Returns a model that can chat, for the command to try.
    fn chat_model(&self) -> &str {
        let embedder = self.settings.target.embed_model.as_deref();
        let chats = |entry: &&foreman_ollama::ModelEntry| {
            let embeds = entry.capabilities.iter().any(|it| it == "embedding");
            !embeds && Some(entry.name.as_str()) != embedder
        };
        let found = self.inventory.models.values().find(chats);
        found.map_or("llama3.2", |entry| entry.name.as_str())
    }
}
