//! The `OpenAI` responses: named events with sequence numbers, keys in alphabetical order.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Answer, Event, Final, Framer, ToolCall};
use crate::gojson::{Obj, array, quote};

/// Writes `/v1/responses`.
#[derive(Debug)]
pub(crate) struct Responses {
    order: u64,
    model: String,
    /// The instructions of the request, as JSON.
    instructions: String,
    created: Option<i64>,
    sequence: u64,
    thinking: String,
    text: String,
    open: Option<Item>,
    /// Items that are complete.
    output: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Reasoning,
    Message,
}

impl Responses {
    /// The writer of one response.
    pub(crate) fn new(model: &str, order: u64, instructions: &str) -> Self {
        Self {
            order,
            model: model.to_owned(),
            instructions: if instructions.is_empty() {
                "null".to_owned()
            } else {
                quote(instructions)
            },
            created: None,
            sequence: 0,
            thinking: String::new(),
            text: String::new(),
            open: None,
            output: Vec::new(),
        }
    }

    fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.order % 999_999)
    }

    /// One event; `body` has the keys before the sequence number, `rest` those after it.
    fn named(&mut self, name: &str, body: Obj, rest: impl FnOnce(Obj) -> Obj) -> Bytes {
        let object = rest(body.put("sequence_number", self.sequence)).str("type", name);
        self.sequence += 1;
        Bytes::from(format!("event: {name}\ndata: {}\n\n", object.end()))
    }

    fn plain(&mut self, name: &str, body: Obj) -> Bytes {
        self.named(name, body, |object| object)
    }

    /// The response object as events carry it.
    fn snapshot(&self, done: Option<(i64, &Final)>) -> String {
        let completed = done.map_or_else(|| "null".to_owned(), |(at, _)| at.to_string());
        let usage = done.map_or_else(|| "null".to_owned(), |(_, done)| event_usage(done));
        let status = if done.is_some() {
            "completed"
        } else {
            "in_progress"
        };
        let object = Obj::new()
            .put("background", false)
            .raw("completed_at", &completed);
        let object = object
            .put("created_at", self.created.unwrap_or_default())
            .raw("error", "null");
        let object = object
            .put("frequency_penalty", 0)
            .str("id", &self.id("resp"));
        let object = object
            .raw("incomplete_details", "null")
            .raw("instructions", &self.instructions);
        let object = object
            .raw("max_output_tokens", "null")
            .raw("max_tool_calls", "null");
        let object = object
            .raw("metadata", "{}")
            .str("model", &self.model)
            .str("object", "response");
        let object = object
            .raw("output", &array(&self.output))
            .put("parallel_tool_calls", true);
        let object = object
            .put("presence_penalty", 0)
            .raw("previous_response_id", "null");
        let object = object
            .raw("prompt_cache_key", "null")
            .raw("reasoning", "null");
        let object = object
            .raw("safety_identifier", "null")
            .str("service_tier", "default");
        let object = object
            .str("status", status)
            .put("store", false)
            .put("temperature", 1);
        let object = object
            .raw("text", r#"{"format":{"type":"text"}}"#)
            .str("tool_choice", "auto");
        let object = object
            .raw("tools", "[]")
            .put("top_logprobs", 0)
            .put("top_p", 1);
        object
            .str("truncation", "disabled")
            .raw("usage", &usage)
            .end()
    }

    fn start(&mut self, at: Timestamp, out: &mut Vec<Bytes>) {
        if self.created.is_some() {
            return;
        }
        self.created = Some(at.as_second());
        for name in ["response.created", "response.in_progress"] {
            let body = Obj::new().raw("response", &self.snapshot(None));
            out.push(self.plain(name, body));
        }
    }

    /// The index of the item that is open, or of the next.
    fn index(&self) -> usize {
        self.output.len()
    }

    fn open(&mut self, item: Item, out: &mut Vec<Bytes>) {
        if self.open == Some(item) {
            return;
        }
        self.close(out);
        self.open = Some(item);
        let index = self.index();
        let shape = match item {
            Item::Reasoning => {
                let reasoning = Obj::new().str("id", &self.id("rs")).raw("summary", "[]");
                reasoning.str("type", "reasoning").end()
            }
            Item::Message => message("[]", &self.id("msg"), "in_progress"),
        };
        let added = Obj::new().raw("item", &shape).put("output_index", index);
        out.push(self.plain("response.output_item.added", added));
        if item == Item::Message {
            let body = Obj::new()
                .put("content_index", 0)
                .str("item_id", &self.id("msg"));
            let body = body.put("output_index", index).raw("part", &part(""));
            out.push(self.plain("response.content_part.added", body));
        }
    }

    fn close(&mut self, out: &mut Vec<Bytes>) {
        let index = self.index();
        let item = match self.open.take() {
            None => return,
            Some(Item::Reasoning) => {
                let text = self.thinking.clone();
                let body = Obj::new()
                    .str("item_id", &self.id("rs"))
                    .put("output_index", index);
                let rest = |object: Obj| object.put("summary_index", 0).str("text", &text);
                out.push(self.named("response.reasoning_summary_text.done", body, rest));
                reasoning(&text, &self.id("rs"))
            }
            Some(Item::Message) => {
                let (id, text) = (self.id("msg"), self.text.clone());
                let body = Obj::new().put("content_index", 0).str("item_id", &id);
                let body = body.raw("logprobs", "[]").put("output_index", index);
                let rest = |object: Obj| object.str("text", &text);
                out.push(self.named("response.output_text.done", body, rest));
                let body = Obj::new().put("content_index", 0).str("item_id", &id);
                let body = body.put("output_index", index).raw("part", &part(&text));
                out.push(self.plain("response.content_part.done", body));
                message(&array([part(&text)]), &id, "completed")
            }
        };
        let body = Obj::new().raw("item", &item).put("output_index", index);
        out.push(self.plain("response.output_item.done", body));
        self.output.push(item);
    }

    fn call(&mut self, call: &ToolCall, out: &mut Vec<Bytes>) {
        let (id, index) = (self.id("fc"), self.index());
        let item = |arguments: &str, status: &str| {
            let item = Obj::new()
                .str("arguments", arguments)
                .str("call_id", &call.id);
            let item = item.str("id", &id).str("name", &call.name);
            item.str("status", status)
                .str("type", "function_call")
                .end()
        };
        let added = Obj::new()
            .raw("item", &item("", "in_progress"))
            .put("output_index", index);
        out.push(self.plain("response.output_item.added", added));
        let delta = Obj::new().str("delta", &call.arguments).str("item_id", &id);
        let delta = delta.put("output_index", index);
        out.push(self.plain("response.function_call_arguments.delta", delta));
        let body = Obj::new()
            .str("arguments", &call.arguments)
            .str("item_id", &id);
        let body = body.put("output_index", index);
        out.push(self.plain("response.function_call_arguments.done", body));
        let item = item(&call.arguments, "completed");
        let body = Obj::new().raw("item", &item).put("output_index", index);
        out.push(self.plain("response.output_item.done", body));
        self.output.push(item);
    }

    /// The output of an answer that is sent at once.
    fn items(&self, answer: &Answer) -> Vec<String> {
        let Answer {
            thinking,
            text,
            done,
            ..
        } = answer;
        let mut output = Vec::new();
        if !thinking.is_empty() {
            let summary = Obj::new()
                .str("type", "summary_text")
                .str("text", thinking)
                .end();
            let item = Obj::new()
                .str("id", &self.id("rs"))
                .str("type", "reasoning");
            let item = item.raw("summary", &array([summary]));
            output.push(item.str("encrypted_content", thinking).end());
        }
        if let Some(call) = done.as_ref().and_then(|done| done.tool.as_ref()) {
            let item = Obj::new()
                .str("id", &self.id("fc"))
                .str("type", "function_call");
            let item = item.str("status", "completed").str("call_id", &call.id);
            output.push(
                item.str("name", &call.name)
                    .str("arguments", &call.arguments)
                    .end(),
            );
        } else {
            let part = Obj::new().str("type", "output_text").str("text", text);
            let part = part.raw("annotations", "[]").raw("logprobs", "[]").end();
            let item = Obj::new().str("id", &self.id("msg")).str("type", "message");
            let item = item.str("status", "completed").str("role", "assistant");
            output.push(item.raw("content", &array([part])).end());
        }
        output
    }
}

fn message(content: &str, id: &str, status: &str) -> String {
    let message = Obj::new()
        .raw("content", content)
        .str("id", id)
        .str("role", "assistant");
    message.str("status", status).str("type", "message").end()
}

fn part(text: &str) -> String {
    let part = Obj::new().raw("annotations", "[]").raw("logprobs", "[]");
    part.str("text", text).str("type", "output_text").end()
}

fn reasoning(text: &str, id: &str) -> String {
    let summary = Obj::new()
        .str("text", text)
        .str("type", "summary_text")
        .end();
    let item = Obj::new().str("encrypted_content", text).str("id", id);
    item.raw("summary", &array([summary]))
        .str("type", "reasoning")
        .end()
}

fn event_usage(done: &Final) -> String {
    let Final {
        prompt_tokens,
        tokens,
        ..
    } = done;
    let usage = Obj::new().put("input_tokens", prompt_tokens);
    let usage = usage.raw("input_tokens_details", r#"{"cached_tokens":0}"#);
    let usage = usage.put("output_tokens", tokens);
    let usage = usage.raw("output_tokens_details", r#"{"reasoning_tokens":0}"#);
    usage.put("total_tokens", prompt_tokens + tokens).end()
}

fn whole_usage(done: &Final) -> String {
    let Final {
        prompt_tokens,
        tokens,
        ..
    } = done;
    let usage = Obj::new()
        .put("input_tokens", prompt_tokens)
        .put("output_tokens", tokens);
    let usage = usage.put("total_tokens", prompt_tokens + tokens);
    let usage = usage.raw("input_tokens_details", r#"{"cached_tokens":0}"#);
    usage
        .raw("output_tokens_details", r#"{"reasoning_tokens":0}"#)
        .end()
}

impl Framer for Responses {
    fn event(&mut self, at: Timestamp, event: &Event) -> Vec<Bytes> {
        let mut out = Vec::new();
        match event {
            Event::Thinking(text) => {
                self.start(at, &mut out);
                self.open(Item::Reasoning, &mut out);
                self.thinking.push_str(text);
                let body = Obj::new().str("delta", text).str("item_id", &self.id("rs"));
                let body = body.put("output_index", self.index());
                let rest = |object: Obj| object.put("summary_index", 0);
                out.push(self.named("response.reasoning_summary_text.delta", body, rest));
            }
            Event::Text(text, _) => {
                self.start(at, &mut out);
                self.open(Item::Message, &mut out);
                self.text.push_str(text);
                let body = Obj::new().put("content_index", 0).str("delta", text);
                let body = body.str("item_id", &self.id("msg")).raw("logprobs", "[]");
                let body = body.put("output_index", self.index());
                out.push(self.plain("response.output_text.delta", body));
            }
            Event::Done(done) => {
                self.start(at, &mut out);
                self.close(&mut out);
                if let Some(call) = &done.tool {
                    self.call(call, &mut out);
                }
                let body = Obj::new().raw("response", &self.snapshot(Some((at.as_second(), done))));
                out.push(self.plain("response.completed", body));
            }
            Event::Broken(_) => {}
        }
        out
    }

    fn whole(&mut self, at: Timestamp, answer: &Answer) -> String {
        let output = array(self.items(answer));
        let second = at.as_second();
        let usage = answer
            .done
            .as_ref()
            .map_or_else(|| "null".to_owned(), whole_usage);
        let object = Obj::new()
            .str("id", &self.id("resp"))
            .str("object", "response");
        let object = object.put("created_at", second).put("completed_at", second);
        let object = object
            .str("status", "completed")
            .raw("incomplete_details", "null");
        let object = object
            .str("model", &self.model)
            .raw("previous_response_id", "null");
        let object = object
            .raw("instructions", &self.instructions)
            .raw("output", &output);
        let object = object
            .raw("error", "null")
            .raw("tools", "[]")
            .str("tool_choice", "auto");
        let object = object
            .str("truncation", "disabled")
            .put("parallel_tool_calls", true);
        let object = object
            .raw("text", r#"{"format":{"type":"text"}}"#)
            .put("top_p", 1);
        let object = object
            .put("presence_penalty", 0)
            .put("frequency_penalty", 0);
        let object = object
            .put("top_logprobs", 0)
            .put("temperature", 1)
            .raw("reasoning", "null");
        let object = object.raw("usage", &usage).raw("max_output_tokens", "null");
        let object = object.raw("max_tool_calls", "null").put("store", false);
        let object = object
            .put("background", false)
            .str("service_tier", "default");
        let object = object
            .raw("metadata", "{}")
            .raw("safety_identifier", "null");
        object.raw("prompt_cache_key", "null").end()
    }
}
