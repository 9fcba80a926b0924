//! `/v1/chat/completions` and `/v1/completions`.

use super::{
    fields::tool,
    types::{self, OPENAI_TOOLS},
    work::{Api, Work, tokens_of},
};
use crate::{
    frame::OpenAi,
    gojson::{Decoder, GoError, Node, Value, folded, quote_go},
};

/// Decodes the body of a chat completion; `order` makes its id.
pub(crate) fn chat_completions(body: &Node, order: u64) -> Result<Work, GoError> {
    let mut decoder = Decoder::new("openai.ChatCompletionRequest", body);
    let (mut model, mut stream, mut usage) = (String::new(), false, false);
    let (mut max_tokens, mut offered, mut effort) = (None, None, String::new());
    let mut messages: &[Node] = &[];
    for (key, node) in folded(body) {
        match key.as_ref() {
            "model" => decoder.string(node, "model", &mut model),
            "messages" => messages = decoder.list(node, "messages", "[]openai.Message"),
            "stream" => decoder.boolean(node, "stream", &mut stream),
            "stream_options" => usage = include_usage(&mut decoder, node),
            "max_tokens" => decoder.integer(node, "max_tokens", &mut max_tokens),
            "tools" => {
                decoder.check(node, "tools", OPENAI_TOOLS);
                offered = node.value.items().iter().find_map(tool);
            }
            "reasoning_effort" => decoder.string(node, "reasoning_effort", &mut effort),
            other => types::check(types::CHAT_COMPLETIONS, &mut decoder, other, node),
        }
    }
    let (text, prompt_tokens) = spoken(&mut decoder, messages);
    let model = decoder.finish(model)?;
    if messages.is_empty() {
        return Err(GoError("[] is too short - 'messages'".to_owned()));
    }
    let think = thinking(&effort)?;
    let framer = Box::new(OpenAi::chat(&model, order, usage));
    let work = Work::new(Api::ChatCompletions, model, framer);
    Ok(Work {
        stream,
        text,
        prompt_tokens,
        max_tokens,
        think,
        tool: offered,
        ..work
    })
}

/// Whether to think, by how much effort that is to take.
fn thinking(effort: &str) -> Result<Option<bool>, GoError> {
    match effort {
        "" => Ok(None),
        "none" => Ok(Some(false)),
        "minimal" | "low" | "medium" | "high" | "xhigh" | "ultra" | "max" => Ok(Some(true)),
        other => Err(GoError(format!(
            "invalid reasoning value: {} (must be \"minimal\", \"low\", \"medium\", \"high\", \
             \"xhigh\", \"ultra\", \"max\", or \"none\")",
            quote_go(other)
        ))),
    }
}

/// The types that the items of `stop` may not have.
fn stop_error(stop: Option<&Node>) -> Option<GoError> {
    let mut items = stop?.value.items().iter();
    let wrong = items.find(|item| item.value.text().is_none())?;
    let kind = go_type(&wrong.value);
    Some(GoError(format!("invalid type for 'stop' field: {kind}")))
}

/// Decodes the body of a text completion; `order` makes its id.
pub(crate) fn completions(body: &Node, order: u64) -> Result<Work, GoError> {
    let mut decoder = Decoder::new("openai.CompletionRequest", body);
    let (mut model, mut text, mut suffix) = (String::new(), String::new(), String::new());
    let (mut stream, mut usage, mut max_tokens, mut stop) = (false, false, None, None);
    for (key, node) in folded(body) {
        match key.as_ref() {
            "model" => decoder.string(node, "model", &mut model),
            "prompt" => decoder.string(node, "prompt", &mut text),
            "suffix" => decoder.string(node, "suffix", &mut suffix),
            "stream" => decoder.boolean(node, "stream", &mut stream),
            "stream_options" => usage = include_usage(&mut decoder, node),
            "max_tokens" => decoder.integer(node, "max_tokens", &mut max_tokens),
            "stop" => stop = Some(node),
            other => types::check(types::COMPLETIONS, &mut decoder, other, node),
        }
    }
    let model = decoder.finish(model)?;
    if let Some(error) = stop_error(stop) {
        return Err(error);
    }
    let framer = Box::new(OpenAi::text(&model, order, usage));
    let work = Work::new(Api::Completions, model, framer);
    let prompt_tokens = tokens_of(&text);
    let (insert, empty) = (!suffix.is_empty(), text.is_empty());
    Ok(Work {
        stream,
        text,
        prompt_tokens,
        empty,
        insert,
        max_tokens,
        ..work
    })
}

fn include_usage(decoder: &mut Decoder, node: &Node) -> bool {
    let mut usage = false;
    for (key, node) in decoder.object(node, "stream_options", "openai.StreamOptions") {
        if key == "include_usage" {
            decoder.boolean(node, "stream_options.include_usage", &mut usage);
        }
    }
    usage
}

/// The last user message, and how many tokens all messages have.
pub(super) fn spoken(decoder: &mut Decoder, messages: &[Node]) -> (String, usize) {
    let (mut last, mut last_user, mut tokens) = (String::new(), None, 0);
    for message in messages {
        let (mut role, mut content) = (String::new(), String::new());
        for (key, node) in decoder.object(message, "messages", "openai.Message") {
            match key.as_ref() {
                "role" => decoder.string(node, "messages.role", &mut role),
                "content" => content = content_text(decoder, node),
                _ => {}
            }
        }
        tokens += tokens_of(&content);
        if role.eq_ignore_ascii_case("user") {
            last_user = Some(content.clone());
        }
        last = content;
    }
    (last_user.unwrap_or(last), tokens)
}

/// The text of a content that is a string or a list of parts.
pub(super) fn content_text(decoder: &mut Decoder, node: &Node) -> String {
    match &node.value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts
                .iter()
                .filter_map(|part| part.value.field("text")?.value.text());
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            decoder.fail(format!(
                "invalid message content type: {}",
                go_type(&node.value)
            ));
            String::new()
        }
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
