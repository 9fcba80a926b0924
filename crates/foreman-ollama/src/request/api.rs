//! The routes whose bodies name a model that must be loaded.

/// A route that makes the target load a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// `/api/chat`
    Chat,
    /// `/api/generate`
    Generate,
    /// `/api/embed`
    Embed,
    /// `/api/embeddings`
    Embeddings,
    /// `/v1/chat/completions`
    V1ChatCompletions,
    /// `/v1/completions`
    V1Completions,
    /// `/v1/embeddings`
    V1Embeddings,
    /// `/v1/responses`
    V1Responses,
    /// `/v1/messages`
    V1Messages,
    /// `/v1/audio/transcriptions`
    V1AudioTranscriptions,
}

/// Whose error bodies a route answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `{"error":"…"}`
    Ollama,
    /// `{"error":{"message":"…",…}}`
    OpenAi,
    /// `{"type":"error","error":{…}}`
    Anthropic,
}

impl Api {
    /// Every route, in the order of the variants.
    pub const ALL: [Self; 10] = [
        Self::Chat,
        Self::Generate,
        Self::Embed,
        Self::Embeddings,
        Self::V1ChatCompletions,
        Self::V1Completions,
        Self::V1Embeddings,
        Self::V1Responses,
        Self::V1Messages,
        Self::V1AudioTranscriptions,
    ];

    /// Returns the path of the route.
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/api/chat",
            Self::Generate => "/api/generate",
            Self::Embed => "/api/embed",
            Self::Embeddings => "/api/embeddings",
            Self::V1ChatCompletions => "/v1/chat/completions",
            Self::V1Completions => "/v1/completions",
            Self::V1Embeddings => "/v1/embeddings",
            Self::V1Responses => "/v1/responses",
            Self::V1Messages => "/v1/messages",
            Self::V1AudioTranscriptions => "/v1/audio/transcriptions",
        }
    }

    /// Returns the route of a path.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.path() == path)
    }

    /// Returns the shape of the route's error bodies.
    pub fn shape(self) -> Shape {
        match self {
            Self::Chat | Self::Generate | Self::Embed | Self::Embeddings => Shape::Ollama,
            Self::V1ChatCompletions
            | Self::V1Completions
            | Self::V1Embeddings
            | Self::V1Responses
            | Self::V1AudioTranscriptions => Shape::OpenAi,
            Self::V1Messages => Shape::Anthropic,
        }
    }

    /// Tells whether an answer streams when the request does not say.
    pub fn streams_by_default(self) -> bool {
        matches!(self, Self::Chat | Self::Generate)
    }

    /// Tells whether the route only makes embeddings.
    pub fn is_embedding(self) -> bool {
        matches!(self, Self::Embed | Self::Embeddings | Self::V1Embeddings)
    }

    /// Returns the name of the type that Ollama decodes the body into.
    pub(super) fn go_type(self) -> &'static str {
        match self {
            Self::Chat => "api.ChatRequest",
            Self::Generate => "api.GenerateRequest",
            Self::Embed => "api.EmbedRequest",
            Self::Embeddings => "api.EmbeddingRequest",
            Self::V1ChatCompletions => "openai.ChatCompletionRequest",
            Self::V1Completions => "openai.CompletionRequest",
            Self::V1Embeddings => "openai.EmbedRequest",
            Self::V1Responses => "openai.ResponsesRequest",
            Self::V1Messages => "anthropic.MessagesRequest",
            Self::V1AudioTranscriptions => "openai.TranscriptionRequest",
        }
    }

    /// Returns that name without its package.
    pub(super) fn go_struct(self) -> &'static str {
        self.go_type()
            .rsplit_once('.')
            .map_or_else(|| self.go_type(), |(_, name)| name)
    }
}
