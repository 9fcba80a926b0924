//! The `OpenAI` completions: server-sent events that end with `[DONE]`.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Answer, Event, Final, Framer, ToolCall};
use crate::gojson::{Obj, array};

const NOTHING_USED: &str = r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;

/// Writes `/v1/chat/completions` and `/v1/completions`.
#[derive(Debug)]
pub(crate) struct OpenAi {
    id: String,
    model: String,
    chat: bool,
    usage: bool,
    /// The second of the first chunk, which all chunks repeat.
    created: Option<i64>,
}

impl OpenAi {
    /// For chats.
    pub(crate) fn chat(model: &str, order: u64, usage: bool) -> Self {
        let id = format!("chatcmpl-{}", order % 999);
        Self {
            id,
            model: model.to_owned(),
            chat: true,
            usage,
            created: None,
        }
    }

    /// For texts.
    pub(crate) fn text(model: &str, order: u64, usage: bool) -> Self {
        let id = format!("cmpl-{}", order % 999);
        Self {
            id,
            model: model.to_owned(),
            chat: false,
            usage,
            created: None,
        }
    }

    fn head(&self, object: &str) -> Obj {
        let created = self.created.unwrap_or_default();
        Obj::new()
            .str("id", &self.id)
            .str("object", object)
            .put("created", created)
    }

    /// A chunk of a chat with this delta.
    fn delta(&self, model: &str, delta: &str, finish: Option<&str>) -> String {
        let finish = finish.map_or_else(|| "null".to_owned(), |reason| format!("\"{reason}\""));
        let choice = Obj::new()
            .put("index", 0)
            .raw("delta", delta)
            .raw("finish_reason", &finish)
            .end();
        let head = self.head("chat.completion.chunk").str("model", model);
        event(
            &head
                .str("system_fingerprint", "fp_ollama")
                .raw("choices", &array([choice]))
                .end(),
        )
    }

    /// A chunk of a text.
    fn piece(&self, model: &str, text: &str, finish: Option<&str>) -> String {
        let finish = finish.map_or_else(|| "null".to_owned(), |reason| format!("\"{reason}\""));
        let choice = Obj::new()
            .str("text", text)
            .put("index", 0)
            .raw("finish_reason", &finish)
            .end();
        let head = self
            .head("text_completion")
            .raw("choices", &array([choice]));
        let head = head
            .str("model", model)
            .str("system_fingerprint", "fp_ollama");
        // Of a text each piece has a usage when any has.
        let usage = self.usage.then_some(NOTHING_USED);
        event(&head.maybe("usage", usage).end())
    }

    fn usage(&self, done: &Final) -> String {
        if !self.usage {
            return String::new();
        }
        if self.chat {
            let head = self.head("chat.completion.chunk").str("model", &self.model);
            let head = head
                .str("system_fingerprint", "fp_ollama")
                .raw("choices", "[]");
            return event(&head.raw("usage", &usage(done)).end());
        }
        let head = self
            .head("text_completion")
            .raw("choices", "[]")
            .str("model", &self.model);
        event(
            &head
                .str("system_fingerprint", "fp_ollama")
                .raw("usage", &usage(done))
                .end(),
        )
    }

    fn last(&self, done: &Final, first: bool) -> String {
        let mut out = String::new();
        if !self.chat {
            out.push_str(&self.piece(&self.model, "", Some(done.reason)));
        } else if let Some(call) = &done.tool {
            let delta = delta(first)
                .str("content", "")
                .raw("tool_calls", &array([tool_call(call)]));
            out.push_str(&self.delta(&self.model, &delta.end(), None));
            out.push_str(&self.delta(&self.model, "{}", Some("tool_calls")));
        } else {
            let delta = if first {
                delta(true).str("content", "").end()
            } else {
                "{}".to_owned()
            };
            out.push_str(&self.delta(&self.model, &delta, Some(done.reason)));
        }
        out.push_str(&self.usage(done));
        out.push_str("data: [DONE]\n\n");
        out
    }
}

/// A delta; the first one names the role.
fn delta(first: bool) -> Obj {
    if first {
        Obj::new().str("role", "assistant")
    } else {
        Obj::new()
    }
}

fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

fn usage(done: &Final) -> String {
    let Final {
        prompt_tokens,
        tokens,
        ..
    } = done;
    let usage = Obj::new()
        .put("prompt_tokens", prompt_tokens)
        .put("completion_tokens", tokens);
    usage.put("total_tokens", prompt_tokens + tokens).end()
}

fn tool_call(call: &ToolCall) -> String {
    let function = Obj::new()
        .str("name", &call.name)
        .str("arguments", &call.arguments)
        .end();
    let object = Obj::new()
        .str("id", &call.id)
        .put("index", 0)
        .str("type", "function");
    object.raw("function", &function).end()
}

impl Framer for OpenAi {
    fn event(&mut self, at: Timestamp, event: &Event) -> Vec<Bytes> {
        let first = self.created.is_none();
        self.created.get_or_insert(at.as_second());
        let text = match (event, self.chat) {
            (Event::Thinking(text), true) => {
                let delta = delta(first).str("content", "").str("reasoning", text);
                self.delta(&self.model, &delta.end(), None)
            }
            (Event::Text(text, _), true) => {
                self.delta(&self.model, &delta(first).str("content", text).end(), None)
            }
            (Event::Broken(_), true) => {
                self.delta("", &delta(first).str("content", "").end(), None)
            }
            (Event::Thinking(_), false) => self.piece(&self.model, "", None),
            (Event::Text(text, _), false) => self.piece(&self.model, text, None),
            (Event::Broken(_), false) => self.piece("", "", None),
            (Event::Done(done), _) => self.last(done, first),
        };
        vec![Bytes::from(text)]
    }

    fn whole(&mut self, at: Timestamp, answer: &Answer) -> String {
        self.created = Some(at.as_second());
        let Answer {
            thinking,
            text,
            done,
            ..
        } = answer;
        let tool = done.as_ref().and_then(|done| done.tool.as_ref());
        let reason = done.as_ref().map(|done| done.reason);
        let finish = if tool.is_some() {
            Some("tool_calls")
        } else {
            reason
        };
        let finish = finish.map_or_else(|| "null".to_owned(), |reason| format!("\"{reason}\""));
        let usage = done.as_ref().map_or_else(|| NOTHING_USED.to_owned(), usage);
        let choice = if self.chat {
            let mut message = Obj::new().str("role", "assistant").str("content", text);
            if !thinking.is_empty() {
                message = message.str("reasoning", thinking);
            }
            let calls = tool.map(|call| array([tool_call(call)]));
            let message = message.maybe("tool_calls", calls.as_deref()).end();
            Obj::new()
                .put("index", 0)
                .raw("message", &message)
                .raw("finish_reason", &finish)
                .end()
        } else {
            Obj::new()
                .str("text", text)
                .put("index", 0)
                .raw("finish_reason", &finish)
                .end()
        };
        let object = if self.chat {
            "chat.completion"
        } else {
            "text_completion"
        };
        let head = self
            .head(object)
            .str("model", &self.model)
            .str("system_fingerprint", "fp_ollama");
        head.raw("choices", &array([choice]))
            .raw("usage", &usage)
            .end()
    }
}
