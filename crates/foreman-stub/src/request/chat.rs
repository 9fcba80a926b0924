//! `/api/chat`.

use super::{
    fields::{Common, common, image, tool},
    types::NATIVE_TOOLS,
    work::{Api, Tool, Work, tokens_of},
};
use crate::{
    frame::Native,
    gojson::{Decoder, GoError, GoType, Node, array, folded, quote},
};

const TOOL_CALLS: GoType = GoType::List("[]api.ToolCall", &GoType::Object("api.ToolCall"));

/// Decodes the body of a chat.
pub(crate) fn chat(body: &Node, bytes: &[u8]) -> Result<Work, GoError> {
    let mut decoder = Decoder::new("api.ChatRequest", body);
    let mut shared = Common::default();
    let mut messages = Messages::default();
    let mut offered = None;
    for (key, node) in folded(body) {
        match key.as_str() {
            "messages" => messages = Messages::decode(&mut decoder, node),
            "tools" => {
                decoder.check(node, "tools", NATIVE_TOOLS);
                offered = node.value.items().iter().find_map(tool);
            }
            other => _ = common(&mut decoder, other, node, &mut shared),
        }
    }
    let shared = decoder.finish(shared)?;
    build(shared, messages, offered, bytes)
}

fn build(
    shared: Common,
    messages: Messages,
    offered: Option<Tool>,
    bytes: &[u8],
) -> Result<Work, GoError> {
    let logprobs = shared.alternatives().map_err(GoError)?;
    let framer = Box::new(Native::chat(&shared.model));
    let work = Work::new(Api::Chat, shared.model, framer);
    Ok(Work {
        stream: shared.stream.unwrap_or(true),
        keep: shared.keep,
        options: shared.options,
        shift: shared.shift,
        think: shared.think,
        format: shared.format.map(|node| node.raw.of(bytes)),
        empty: messages.count == 0,
        prompt_tokens: messages.tokens,
        rendered: shared.render_only.then(|| array(&messages.rendered)),
        text: messages.last_user.unwrap_or(messages.last),
        tool: offered,
        logprobs,
        ..work
    })
}

#[derive(Default)]
struct Messages {
    count: usize,
    tokens: usize,
    last: String,
    last_user: Option<String>,
    rendered: Vec<String>,
}

impl Messages {
    fn decode(decoder: &mut Decoder, node: &Node) -> Self {
        let mut all = Self::default();
        for message in decoder.list(node, "messages", "[]api.Message") {
            let was_wrong = decoder.is_wrong();
            let (role, content) = one(decoder, message);
            // A message decodes itself.
            decoder.harden(was_wrong);
            all.count += 1;
            all.tokens += tokens_of(&content);
            all.rendered.push(format!(
                "{{\"content\": {}, \"role\": {}}}",
                quote(&content),
                quote(&role)
            ));
            if role == "user" {
                all.last_user = Some(content.clone());
            }
            all.last = content;
        }
        all
    }
}

fn one(decoder: &mut Decoder, node: &Node) -> (String, String) {
    let (mut role, mut content, mut ignored) = (String::new(), String::new(), String::new());
    // Ollama decodes a message into a local type of this name, to lower its role afterwards.
    for (key, node) in decoder.object(node, "messages", "api.Alias") {
        let path = format!("messages.{key}");
        match key.as_str() {
            "role" => decoder.string(node, &path, &mut role),
            "content" => decoder.string(node, &path, &mut content),
            "thinking" | "tool_name" | "tool_call_id" => decoder.string(node, &path, &mut ignored),
            "images" => {
                for item in decoder.list(node, &path, "[]api.ImageData") {
                    image(decoder, item, &path);
                }
            }
            "tool_calls" => decoder.check(node, &path, TOOL_CALLS),
            _ => {}
        }
    }
    (role.to_lowercase(), content)
}
