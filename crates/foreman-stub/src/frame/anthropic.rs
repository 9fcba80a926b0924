//! The Anthropic messages: named events, content in blocks.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Answer, Event, Final, Framer, ToolCall};
use crate::gojson::{Obj, array};

/// Writes `/v1/messages`.
#[derive(Debug)]
pub(crate) struct Anthropic {
    id: String,
    model: String,
    /// Tokens of the prompt as they are guessed before it was read.
    guessed: usize,
    started: bool,
    /// The open block.
    block: Option<Block>,
    /// The number of the open block, or of the next.
    index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
}

impl Anthropic {
    /// The writer of one message.
    pub(crate) fn new(model: &str, order: u64, guessed: usize) -> Self {
        let id = format!("msg_{order:024x}");
        Self {
            id,
            model: model.to_owned(),
            guessed,
            started: false,
            block: None,
            index: 0,
        }
    }

    fn start(&mut self, out: &mut Vec<Bytes>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let usage = Obj::new()
            .put("input_tokens", self.guessed)
            .put("output_tokens", 0)
            .end();
        let message = Obj::new()
            .str("id", &self.id)
            .str("type", "message")
            .str("role", "assistant");
        let message = message
            .str("model", &self.model)
            .raw("content", "[]")
            .raw("usage", &usage);
        out.push(named("message_start", |object| {
            object.raw("message", &message.end())
        }));
    }

    /// Makes this block the open one.
    fn open(&mut self, block: Block, out: &mut Vec<Bytes>) {
        if self.block == Some(block) {
            return;
        }
        self.close(out);
        self.block = Some(block);
        let content = match block {
            Block::Thinking => Obj::new().str("type", "thinking").str("thinking", ""),
            Block::Text => Obj::new().str("type", "text").str("text", ""),
        };
        out.push(self.indexed("content_block_start", "content_block", &content.end()));
    }

    fn close(&mut self, out: &mut Vec<Bytes>) {
        if self.block.take().is_some() {
            self.stop(out);
        }
    }

    fn stop(&mut self, out: &mut Vec<Bytes>) {
        out.push(named("content_block_stop", |object| {
            object.put("index", self.index)
        }));
        self.index += 1;
    }

    fn delta(&self, kind: &str, key: &str, text: &str) -> Bytes {
        let delta = Obj::new().str("type", kind).str(key, text).end();
        self.indexed("content_block_delta", "delta", &delta)
    }

    fn indexed(&self, name: &str, key: &str, value: &str) -> Bytes {
        named(name, |object| {
            object.put("index", self.index).raw(key, value)
        })
    }

    fn call(&mut self, call: &ToolCall, out: &mut Vec<Bytes>) {
        let block = Obj::new()
            .str("type", "tool_use")
            .str("id", &call.id)
            .str("name", &call.name);
        let block = block.raw("input", "{}").end();
        out.push(self.indexed("content_block_start", "content_block", &block));
        out.push(self.delta("input_json_delta", "partial_json", &call.arguments));
        self.stop(out);
    }

    fn finish(&mut self, done: &Final, out: &mut Vec<Bytes>) {
        self.close(out);
        if let Some(call) = &done.tool {
            self.call(call, out);
        }
        let delta = Obj::new().str("stop_reason", reason(done)).end();
        out.push(named("message_delta", |object| {
            object.raw("delta", &delta).raw("usage", &usage(done))
        }));
        out.push(named("message_stop", |object| object));
    }
}

fn named(name: &str, fill: impl FnOnce(Obj) -> Obj) -> Bytes {
    let data = fill(Obj::new().str("type", name)).end();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

fn reason(done: &Final) -> &'static str {
    match (&done.tool, done.reason) {
        (Some(_), _) => "tool_use",
        (None, "length") => "max_tokens",
        (None, _) => "end_turn",
    }
}

fn usage(done: &Final) -> String {
    Obj::new()
        .put("input_tokens", done.prompt_tokens)
        .put("output_tokens", done.tokens)
        .end()
}

impl Framer for Anthropic {
    fn event(&mut self, _at: Timestamp, event: &Event) -> Vec<Bytes> {
        let mut out = Vec::new();
        match event {
            Event::Thinking(text) => {
                self.start(&mut out);
                self.open(Block::Thinking, &mut out);
                out.push(self.delta("thinking_delta", "thinking", text));
            }
            Event::Text(text, _) => {
                self.start(&mut out);
                self.open(Block::Text, &mut out);
                out.push(self.delta("text_delta", "text", text));
            }
            Event::Done(done) => {
                self.start(&mut out);
                self.finish(done, &mut out);
            }
            Event::Broken(_) => {}
        }
        out
    }

    fn whole(&mut self, _at: Timestamp, answer: &Answer) -> String {
        let Answer {
            thinking,
            text,
            done,
            ..
        } = answer;
        let mut content = Vec::new();
        if !thinking.is_empty() {
            content.push(
                Obj::new()
                    .str("type", "thinking")
                    .str("thinking", thinking)
                    .end(),
            );
        }
        if !text.is_empty() {
            content.push(Obj::new().str("type", "text").str("text", text).end());
        }
        if let Some(call) = done.as_ref().and_then(|done| done.tool.as_ref()) {
            let block = Obj::new()
                .str("type", "tool_use")
                .str("id", &call.id)
                .str("name", &call.name);
            content.push(block.raw("input", &call.arguments).end());
        }
        let stop = done.as_ref().map_or("end_turn", reason);
        let empty = r#"{"input_tokens":0,"output_tokens":0}"#;
        let usage = done.as_ref().map_or_else(|| empty.to_owned(), usage);
        let object = Obj::new()
            .str("id", &self.id)
            .str("type", "message")
            .str("role", "assistant");
        let object = object
            .str("model", &self.model)
            .raw("content", &array(&content));
        object.str("stop_reason", stop).raw("usage", &usage).end()
    }
}
