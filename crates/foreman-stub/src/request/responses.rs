//! `/v1/responses`.

use super::{
    fields::arguments,
    openai::content_text,
    types::{self, RESPONSES_TOOLS},
    work::{Api, Tool, Work, tokens_of},
};
use crate::{
    frame::Responses,
    gojson::{Decoder, GoError, Node, Value, folded},
};

/// Decodes the body of a response request; `order` makes its ids.
pub(crate) fn responses(body: &Node, order: u64) -> Result<Work, GoError> {
    let mut decoder = Decoder::new("openai.ResponsesRequest", body);
    let (mut model, mut stream) = (String::new(), false);
    let (mut max_tokens, mut offered) = (None, None);
    let mut instructions = String::new();
    let (mut text, mut prompt_tokens) = (String::new(), 0);
    for (key, node) in folded(body) {
        match key.as_ref() {
            "model" => decoder.string(node, "model", &mut model),
            "input" => (text, prompt_tokens) = input(&mut decoder, node),
            "stream" => decoder.boolean(node, "stream", &mut stream),
            "max_output_tokens" => decoder.integer(node, "max_output_tokens", &mut max_tokens),
            "tools" => {
                decoder.check(node, "tools", RESPONSES_TOOLS);
                offered = node.value.items().iter().find_map(tool);
            }
            "instructions" => decoder.string(node, "instructions", &mut instructions),
            other => types::check(types::RESPONSES, &mut decoder, other, node),
        }
    }
    let model = decoder.finish(model)?;
    let framer = Box::new(Responses::new(&model, order, &instructions));
    let work = Work::new(Api::Responses, model, framer);
    Ok(Work {
        stream,
        text,
        prompt_tokens,
        max_tokens,
        tool: offered,
        ..work
    })
}

/// A text, or a list of items of which the last user message counts.
fn input(decoder: &mut Decoder, node: &Node) -> (String, usize) {
    match &node.value {
        Value::String(text) => (text.clone(), tokens_of(text)),
        Value::Array(items) => {
            let (mut last, mut tokens) = (String::new(), 0);
            for item in items {
                let Some(content) = item.value.field("content") else {
                    continue;
                };
                let text = content_text(decoder, content);
                tokens += tokens_of(&text);
                let role = item.value.field("role").and_then(|role| role.value.text());
                if role == Some("user") || last.is_empty() {
                    last = text;
                }
            }
            (last, tokens)
        }
        Value::Null => (String::new(), 0),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            let kind = node.value.kind();
            decoder.fail(format!(
                "input must be a string or array: json: cannot unmarshal {kind} into Go value of \
                 type []json.RawMessage"
            ));
            (String::new(), 0)
        }
    }
}

fn tool(node: &Node) -> Option<Tool> {
    let name = node.value.field("name")?.value.text()?.to_owned();
    let schema = node.value.field("parameters");
    Some(Tool {
        name,
        arguments: schema.map_or_else(|| "{}".to_owned(), arguments),
    })
}
