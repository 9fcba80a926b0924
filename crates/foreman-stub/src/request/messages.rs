//! `/v1/messages`.

use super::{
    fields::arguments,
    openai::spoken,
    types::{self, MESSAGES_TOOLS},
    work::{Api, Tool, Work},
};
use crate::{
    frame::Anthropic,
    gojson::{Decoder, GoError, GoType, Node, folded},
};

/// Decodes the body of a message; `order` makes its id.
pub(crate) fn messages(body: &Node, order: u64) -> Result<Work, GoError> {
    let mut decoder = Decoder::new("anthropic.MessagesRequest", body);
    let (mut model, mut stream) = (String::new(), false);
    let (mut max_tokens, mut offered, mut think) = (None, None, None);
    let mut messages: &[Node] = &[];
    for (key, node) in folded(body) {
        match key.as_ref() {
            "model" => decoder.string(node, "model", &mut model),
            "messages" => messages = decoder.list(node, "messages", "[]anthropic.MessageParam"),
            "stream" => decoder.boolean(node, "stream", &mut stream),
            "max_tokens" => decoder.integer(node, "max_tokens", &mut max_tokens),
            "tools" => {
                decoder.check(node, "tools", MESSAGES_TOOLS);
                offered = node.value.items().iter().find_map(tool);
            }
            "thinking" => {
                decoder.check(node, "thinking", GoType::Object("anthropic.ThinkingConfig"));
                let kind = node.value.field("type").and_then(|kind| kind.value.text());
                think = kind.map(|kind| kind != "disabled");
            }
            other => types::check(types::MESSAGES, &mut decoder, other, node),
        }
    }
    let (text, prompt_tokens) = spoken(&mut decoder, messages);
    let model = decoder.finish(model)?;
    let wrong = if model.is_empty() {
        Some("model is required")
    } else if max_tokens.unwrap_or(0) <= 0 {
        Some("max_tokens is required and must be positive")
    } else if messages.is_empty() {
        Some("messages is required")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return Err(GoError(wrong.to_owned()));
    }
    let framer = Box::new(Anthropic::new(&model, order, text.len().div_ceil(4)));
    let work = Work::new(Api::Messages, model, framer);
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

fn tool(node: &Node) -> Option<Tool> {
    let name = node.value.field("name")?.value.text()?.to_owned();
    let schema = node.value.field("input_schema");
    Some(Tool {
        name,
        arguments: schema.map_or_else(|| "{}".to_owned(), arguments),
    })
}
