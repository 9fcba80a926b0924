//! `/api/chat`.

use std::mem::take;

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
        match key.as_ref() {
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
        empty: messages.said.is_empty(),
        prompt_tokens: messages.tokens,
        rendered: shared.render_only.then(|| messages.rendered()),
        text: messages.last(),
        tool: offered,
        logprobs,
        ..work
    })
}

#[derive(Default)]
struct Messages {
    tokens: usize,
    /// Who said what.
    said: Vec<(String, String)>,
}

impl Messages {
    fn decode(decoder: &mut Decoder, node: &Node) -> Self {
        let mut all = Self::default();
        for message in decoder.list(node, "messages", "[]api.Message") {
            let was_wrong = decoder.is_wrong();
            let (role, content) = one(decoder, message);
            // A message decodes itself.
            decoder.harden(was_wrong);
            all.tokens += tokens_of(&content);
            all.said.push((role, content));
        }
        all
    }

    /// The prompt, as `_debug_render_only` shows it.
    fn rendered(&self) -> String {
        let one = |(role, content): &(String, String)| {
            let (content, role) = (quote(content), quote(role));
            format!("{{\"content\": {content}, \"role\": {role}}}")
        };
        array(self.said.iter().map(one))
    }

    /// What the user said last, or whoever spoke last where no user did.
    fn last(mut self) -> String {
        let user = self.said.iter().rposition(|(role, _)| role == "user");
        let at = user.unwrap_or_else(|| self.said.len().saturating_sub(1));
        let found = self.said.get_mut(at).map(|(_, content)| take(content));
        found.unwrap_or_default()
    }
}

fn one(decoder: &mut Decoder, node: &Node) -> (String, String) {
    let (mut role, mut content, mut ignored) = (String::new(), String::new(), String::new());
    // Ollama decodes a message into a local type of this name, to lower its role afterwards.
    for (key, node) in decoder.object(node, "messages", "api.Alias") {
        match key.as_ref() {
            "role" => decoder.string(node, "messages.role", &mut role),
            "content" => decoder.string(node, "messages.content", &mut content),
            "thinking" | "tool_name" | "tool_call_id" => {
                decoder.string(node, &format!("messages.{key}"), &mut ignored);
            }
            "images" => {
                for item in decoder.list(node, "messages.images", "[]api.ImageData") {
                    image(decoder, item, "messages.images");
                }
            }
            "tool_calls" => decoder.check(node, "messages.tool_calls", TOOL_CALLS),
            _ => {}
        }
    }
    (role.to_lowercase(), content)
}
