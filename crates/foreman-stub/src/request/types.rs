//! The types of fields that the stub does nothing with: a wrong one is refused all the same.

use crate::gojson::{Decoder, GoType, Node};

const STRINGS: GoType = GoType::List("[]string", &GoType::Text);
const DOUBLE: GoType = GoType::Float("float64");
const SINGLE: GoType = GoType::Float("float32");

type Fields = &'static [(&'static str, GoType)];

/// `openai.ChatCompletionRequest`
pub(super) const CHAT_COMPLETIONS: Fields = &[
    ("seed", GoType::Int),
    ("temperature", DOUBLE),
    ("frequency_penalty", DOUBLE),
    ("presence_penalty", DOUBLE),
    ("top_p", DOUBLE),
    ("response_format", GoType::Object("openai.ResponseFormat")),
    ("reasoning", GoType::Object("openai.Reasoning")),
    ("logprobs", GoType::Bool),
    ("top_logprobs", GoType::Int),
    ("_debug_render_only", GoType::Bool),
];

/// `openai.CompletionRequest`
pub(super) const COMPLETIONS: Fields = &[
    ("frequency_penalty", SINGLE),
    ("presence_penalty", SINGLE),
    ("seed", GoType::Int),
    ("temperature", SINGLE),
    ("top_p", SINGLE),
    ("logprobs", GoType::Int),
    ("_debug_render_only", GoType::Bool),
];

/// `openai.ResponsesRequest`
pub(super) const RESPONSES: Fields = &[
    ("background", GoType::Bool),
    ("include", STRINGS),
    ("reasoning", GoType::Object("openai.ResponsesReasoning")),
    ("temperature", DOUBLE),
    ("text", GoType::Object("openai.ResponsesText")),
    ("top_p", DOUBLE),
    ("truncation", GoType::Text),
];

/// `anthropic.MessagesRequest`
pub(super) const MESSAGES: Fields = &[
    ("temperature", DOUBLE),
    ("top_p", DOUBLE),
    ("top_k", GoType::Int),
    ("stop_sequences", STRINGS),
    ("tool_choice", GoType::Object("anthropic.ToolChoice")),
    ("metadata", GoType::Object("anthropic.Metadata")),
    ("output_config", GoType::Object("anthropic.OutputConfig")),
];

/// Tools, by the API that they are offered through.
pub(super) const NATIVE_TOOLS: GoType = GoType::List("api.Tools", &GoType::Object("api.Tool"));
pub(super) const OPENAI_TOOLS: GoType = GoType::List("[]api.Tool", &GoType::Object("api.Tool"));
pub(super) const RESPONSES_TOOLS: GoType = GoType::List(
    "[]openai.ResponsesTool",
    &GoType::Object("openai.ResponsesTool"),
);
pub(super) const MESSAGES_TOOLS: GoType =
    GoType::List("[]anthropic.Tool", &GoType::Object("anthropic.Tool"));

/// Checks a field's type, if it is one of these.
pub(super) fn check(fields: Fields, decoder: &mut Decoder, key: &str, node: &Node) {
    if let Some((name, go)) = fields.iter().find(|(name, _)| *name == key) {
        decoder.check(node, name, *go);
    }
}
