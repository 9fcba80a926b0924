//! The fields that a route's body may have, and their types.

use crate::request::api::Api;

/// A field whose value matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Model,
    Messages,
    Prompt,
    Input,
    Stream,
    Format,
    KeepAlive,
    Options,
    Think,
    Shift,
    TopLogprobs,
    MaxTokens,
    Raw,
    System,
    Template,
    Context,
    Tools,
    Suffix,
    EncodingFormat,
    /// Only its type is checked.
    Other,
}

/// What Ollama decodes a field into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GoType {
    Text,
    Bool,
    /// A bool that knows whether it was given.
    OptionalBool,
    Int,
    /// A number of this type.
    Float(&'static str),
    List(&'static str),
    Map,
    /// Checks itself, or takes anything.
    Any,
}

impl GoType {
    /// Returns the name in errors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Bool | Self::OptionalBool => "bool",
            Self::Int => "int",
            Self::Float(name) | Self::List(name) => name,
            Self::Map => "map[string]interface {}",
            Self::Any => "interface {}",
        }
    }
}

/// One field of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) field: Field,
    pub(super) go: GoType,
}

const fn spec(name: &'static str, field: Field, go: GoType) -> Spec {
    Spec { name, field, go }
}

const DOUBLE: GoType = GoType::Float("float64");
const SINGLE: GoType = GoType::Float("float32");

const CHAT: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec("messages", Field::Messages, GoType::List("[]api.Message")),
    spec("stream", Field::Stream, GoType::OptionalBool),
    spec("format", Field::Format, GoType::Any),
    spec("keep_alive", Field::KeepAlive, GoType::Any),
    spec("tools", Field::Tools, GoType::List("api.Tools")),
    spec("options", Field::Options, GoType::Map),
    spec("think", Field::Think, GoType::Any),
    spec("truncate", Field::Other, GoType::OptionalBool),
    spec("shift", Field::Shift, GoType::OptionalBool),
    spec("_debug_render_only", Field::Other, GoType::Bool),
    spec("logprobs", Field::Other, GoType::Bool),
    spec("top_logprobs", Field::TopLogprobs, GoType::Int),
];

const GENERATE: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec("prompt", Field::Prompt, GoType::Text),
    spec("suffix", Field::Suffix, GoType::Text),
    spec("system", Field::System, GoType::Text),
    spec("template", Field::Template, GoType::Text),
    spec("context", Field::Context, GoType::List("[]int")),
    spec("stream", Field::Stream, GoType::OptionalBool),
    spec("raw", Field::Raw, GoType::Bool),
    spec("format", Field::Format, GoType::Any),
    spec("keep_alive", Field::KeepAlive, GoType::Any),
    spec("images", Field::Other, GoType::List("[]api.ImageData")),
    spec("options", Field::Options, GoType::Map),
    spec("think", Field::Think, GoType::Any),
    spec("truncate", Field::Other, GoType::OptionalBool),
    spec("shift", Field::Shift, GoType::OptionalBool),
    spec("_debug_render_only", Field::Other, GoType::Bool),
    spec("logprobs", Field::Other, GoType::Bool),
    spec("top_logprobs", Field::TopLogprobs, GoType::Int),
];

const EMBED: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec("input", Field::Input, GoType::Any),
    spec("keep_alive", Field::KeepAlive, GoType::Any),
    spec("truncate", Field::Other, GoType::OptionalBool),
    spec("dimensions", Field::Other, GoType::Int),
    spec("options", Field::Options, GoType::Map),
];

const EMBEDDINGS: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec("prompt", Field::Prompt, GoType::Text),
    spec("keep_alive", Field::KeepAlive, GoType::Any),
    spec("options", Field::Options, GoType::Map),
];

const V1_CHAT: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec(
        "messages",
        Field::Messages,
        GoType::List("[]openai.Message"),
    ),
    spec("stream", Field::Stream, GoType::Bool),
    spec("max_tokens", Field::Other, GoType::Int),
    spec("seed", Field::Other, GoType::Int),
    spec("temperature", Field::Other, DOUBLE),
    spec("frequency_penalty", Field::Other, DOUBLE),
    spec("presence_penalty", Field::Other, DOUBLE),
    spec("top_p", Field::Other, DOUBLE),
    spec("reasoning_effort", Field::Other, GoType::Text),
    spec("logprobs", Field::Other, GoType::Bool),
    spec("top_logprobs", Field::Other, GoType::Int),
];

const V1_COMPLETIONS: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec("prompt", Field::Prompt, GoType::Text),
    spec("suffix", Field::Other, GoType::Text),
    spec("stream", Field::Stream, GoType::Bool),
    spec("max_tokens", Field::Other, GoType::Int),
    spec("seed", Field::Other, GoType::Int),
    spec("temperature", Field::Other, SINGLE),
    spec("frequency_penalty", Field::Other, SINGLE),
    spec("presence_penalty", Field::Other, SINGLE),
    spec("top_p", Field::Other, SINGLE),
    spec("logprobs", Field::Other, GoType::Int),
];

const V1_EMBEDDINGS: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec("input", Field::Input, GoType::Any),
    spec("dimensions", Field::Other, GoType::Int),
    spec("encoding_format", Field::EncodingFormat, GoType::Text),
];

const V1_RESPONSES: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec("instructions", Field::Other, GoType::Text),
    spec("max_output_tokens", Field::Other, GoType::Int),
    spec("temperature", Field::Other, DOUBLE),
    spec("top_p", Field::Other, DOUBLE),
    spec("stream", Field::Stream, GoType::OptionalBool),
];

const V1_MESSAGES: &[Spec] = &[
    spec("model", Field::Model, GoType::Text),
    spec("max_tokens", Field::MaxTokens, GoType::Int),
    spec(
        "messages",
        Field::Messages,
        GoType::List("[]anthropic.MessageParam"),
    ),
    spec("stream", Field::Stream, GoType::Bool),
    spec("temperature", Field::Other, DOUBLE),
    spec("top_p", Field::Other, DOUBLE),
    spec("top_k", Field::Other, GoType::Int),
];

/// Finds the field of a key, in any case, as Go does.
pub(super) fn find(api: Api, key: &str) -> Option<&'static Spec> {
    table(api).iter().find(|spec| folds_to(key, spec.name))
}

fn table(api: Api) -> &'static [Spec] {
    match api {
        Api::Chat => CHAT,
        Api::Generate => GENERATE,
        Api::Embed => EMBED,
        Api::Embeddings => EMBEDDINGS,
        Api::V1ChatCompletions => V1_CHAT,
        Api::V1Completions => V1_COMPLETIONS,
        Api::V1Embeddings => V1_EMBEDDINGS,
        Api::V1Responses => V1_RESPONSES,
        Api::V1Messages => V1_MESSAGES,
        // A form is not read by fields of JSON.
        Api::V1AudioTranscriptions => &[],
    }
}

/// Compares without case; two letters beyond ASCII fold to ASCII ones.
pub(super) fn folds_to(key: &str, name: &str) -> bool {
    let folded = key.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    });
    folded.eq(name.chars())
}
