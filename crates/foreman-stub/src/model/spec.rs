//! How a model of a stub is described.

use std::{fmt::Write as _, time::Duration};

use sha2::{Digest as _, Sha256};

/// What a model can do, as `/api/show` and `/api/tags` list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    /// Chats and completes.
    Completion,
    /// Calls tools.
    Tools,
    /// Thinks before it answers.
    Thinking,
    /// Embeds text, and nothing else.
    Embedding,
    /// Fills in the middle.
    Insert,
}

impl Capability {
    /// Its name on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Completion => "completion",
            Self::Tools => "tools",
            Self::Thinking => "thinking",
            Self::Embedding => "embedding",
            Self::Insert => "insert",
        }
    }
}

/// A model that a stub has on its disk.
///
/// ```
/// use foreman_stub::ModelSpec;
///
/// let chat = ModelSpec::chat("llama3.2:1b").with_tools();
/// let same_weights = ModelSpec::alias_of(&chat, "assistant");
/// assert_eq!(same_weights.digest(), chat.digest());
/// ```
#[derive(Clone, Debug)]
pub struct ModelSpec {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) blob: String,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) size: u64,
    pub(crate) trained_context: i64,
    pub(crate) dimensions: usize,
    pub(crate) num_ctx: Option<i64>,
    pub(crate) load_time: Option<Duration>,
    pub(crate) system: String,
    pub(crate) license: Option<String>,
    pub(crate) from: String,
}

impl ModelSpec {
    fn new(name: &str, capabilities: Vec<Capability>) -> Self {
        Self {
            name: name.to_owned(),
            digest: sha256_hex(format!("manifest of {name}").as_bytes()),
            blob: sha256_hex(format!("weights of {name}").as_bytes()),
            capabilities,
            size: 1_300_000_000,
            trained_context: 131_072,
            dimensions: 2048,
            num_ctx: None,
            load_time: None,
            system: String::new(),
            license: None,
            from: String::new(),
        }
    }

    /// A model that chats and completes.
    pub fn chat(name: &str) -> Self {
        Self::new(name, vec![Capability::Completion])
    }

    /// A model that only embeds, into vectors of 384 numbers.
    pub fn embedding(name: &str) -> Self {
        let spec = Self::new(name, vec![Capability::Embedding]);
        Self {
            size: 46_000_000,
            trained_context: 512,
            dimensions: 384,
            ..spec
        }
    }

    /// A second name for the same manifest: shares its digest and its runner.
    pub fn alias_of(other: &Self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..other.clone()
        }
    }

    /// A model made from `other` with a manifest of its own: shares its runner.
    pub fn derived_from(other: &Self, name: &str) -> Self {
        let digest = sha256_hex(format!("manifest of {name}").as_bytes());
        Self {
            name: name.to_owned(),
            digest,
            from: other.name.clone(),
            ..other.clone()
        }
    }

    /// Adds the ability to call tools.
    #[must_use]
    pub fn with_tools(mut self) -> Self {
        self.capabilities.insert(0, Capability::Tools);
        self
    }

    /// Adds the ability to think, which is then on unless a request turns it off.
    #[must_use]
    pub fn with_thinking(mut self) -> Self {
        self.capabilities.push(Capability::Thinking);
        self
    }

    /// Adds the ability to fill in the middle.
    #[must_use]
    pub fn with_insert(mut self) -> Self {
        self.capabilities.push(Capability::Insert);
        self
    }

    /// Loads for this long instead of the stub's load time.
    #[must_use]
    pub fn load_time(mut self, time: Duration) -> Self {
        self.load_time = Some(time);
        self
    }

    /// Its size in bytes, on disk and in memory.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    /// The largest context it was trained for.
    #[must_use]
    pub fn trained_context(mut self, tokens: u32) -> Self {
        self.trained_context = i64::from(tokens);
        self
    }

    /// A `PARAMETER num_ctx` in its Modelfile, which counts as explicit.
    #[must_use]
    pub fn num_ctx(mut self, tokens: u32) -> Self {
        self.num_ctx = Some(i64::from(tokens));
        self
    }

    /// How many numbers its embeddings have.
    #[must_use]
    pub fn dimensions(mut self, dimensions: usize) -> Self {
        self.dimensions = dimensions;
        self
    }

    /// The text of its licence.
    #[must_use]
    pub fn license(mut self, text: &str) -> Self {
        self.license = Some(text.to_owned());
        self
    }

    /// The digest of its manifest, as hex digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its name as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The SHA-256 of `bytes` as hex digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let written = write!(out, "{byte:02x}");
            debug_assert!(written.is_ok(), "writing to a string cannot fail");
            out
        })
}
