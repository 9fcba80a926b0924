//! The native API: one JSON object per line.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Answer, Event, Final, Framer, ToolCall};
use crate::gojson::{Obj, array};

/// Writes `/api/chat` and `/api/generate`.
#[derive(Debug)]
pub(crate) struct Native {
    model: String,
    route: Route,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Chat,
    Generate,
    Raw,
}

impl Native {
    /// For `/api/chat`.
    pub(crate) fn chat(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            route: Route::Chat,
        }
    }

    /// For `/api/generate`; raw answers have no context.
    pub(crate) fn generate(model: &str, raw: bool) -> Self {
        let route = if raw { Route::Raw } else { Route::Generate };
        Self {
            model: model.to_owned(),
            route,
        }
    }

    /// An object up to and including its text.
    fn object(&self, at: Timestamp, text: &str, thinking: &str, tool: Option<&ToolCall>) -> Obj {
        let object = Obj::new()
            .str("model", &self.model)
            .str("created_at", &at.to_string());
        let thought = |object: Obj| {
            if thinking.is_empty() {
                object
            } else {
                object.str("thinking", thinking)
            }
        };
        if self.route != Route::Chat {
            return thought(object.str("response", text));
        }
        let message = thought(Obj::new().str("role", "assistant").str("content", text));
        let calls = tool.map(|call| array([tool_call(call)]));
        object.raw(
            "message",
            &message.maybe("tool_calls", calls.as_deref()).end(),
        )
    }

    fn metrics(&self, object: Obj, done: &Final, logprobs: Option<&str>) -> Obj {
        let mut object = object.put("done", true).str("done_reason", done.reason);
        // A completion has them behind its context and figures, a chat before its figures.
        if self.route == Route::Chat {
            object = object.maybe("logprobs", logprobs);
        }
        if self.route == Route::Generate {
            object = object.raw("context", "[1,2,3]");
        }
        object = object
            .put("total_duration", done.total)
            .put("load_duration", done.load);
        if done.prompt_tokens > 0 {
            object = object.put("prompt_eval_count", done.prompt_tokens);
        }
        object = object.put("prompt_eval_duration", 12_500_000);
        if done.tokens > 0 {
            object = object.put("eval_count", done.tokens);
        }
        let object = object.put("eval_duration", 33_250_000);
        if self.route == Route::Chat {
            object
        } else {
            object.maybe("logprobs", logprobs)
        }
    }
}

fn tool_call(call: &ToolCall) -> String {
    let function = Obj::new().put("index", 0).str("name", &call.name);
    let function = function.raw("arguments", &call.arguments).end();
    Obj::new()
        .str("id", &call.id)
        .raw("function", &function)
        .end()
}

impl Framer for Native {
    fn event(&mut self, at: Timestamp, event: &Event) -> Vec<Bytes> {
        let object = match event {
            Event::Thinking(text) => self.object(at, "", text, None).put("done", false),
            Event::Text(text, logprobs) => {
                let object = self.object(at, text, "", None).put("done", false);
                object.maybe("logprobs", logprobs.as_ref().map(|l| array([l])).as_deref())
            }
            Event::Done(done) => {
                self.metrics(self.object(at, "", "", done.tool.as_ref()), done, None)
            }
            Event::Broken(message) => Obj::new().str("error", message),
        };
        vec![Bytes::from(object.end() + "\n")]
    }

    fn whole(&mut self, at: Timestamp, answer: &Answer) -> String {
        let Answer {
            thinking,
            text,
            logprobs,
            started,
            done,
        } = answer;
        if !started && done.is_none() {
            let empty = Obj::new()
                .str("model", "")
                .str("created_at", "0001-01-01T00:00:00Z");
            let message = Obj::new().str("role", "").str("content", "").end();
            let empty = match self.route {
                Route::Chat => empty.raw("message", &message),
                Route::Generate | Route::Raw => empty.str("response", ""),
            };
            return empty.put("done", false).end();
        }
        let tool = done.as_ref().and_then(|done| done.tool.as_ref());
        let object = self.object(at, text, thinking, tool);
        let logprobs = (!logprobs.is_empty()).then(|| array([logprobs]));
        let object = match done {
            Some(done) => self.metrics(object, done, logprobs.as_deref()),
            None => object
                .put("done", false)
                .maybe("logprobs", logprobs.as_deref()),
        };
        object.end()
    }

    fn nothing(&mut self, at: Timestamp, reason: &'static str) -> String {
        self.object(at, "", "", None)
            .put("done", true)
            .str("done_reason", reason)
            .end()
    }
}
