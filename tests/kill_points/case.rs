//! A request that meets its foreman's death.

use std::fmt;

use foreman_tests::{Builder, Exchange, Foreman, chat, chat_stream};
use serde_json::Value;

pub(crate) const MODEL: &str = "llama3.2:1b";

const PROMPT: &str = "one two three four";

/// What the target says to that.
pub(crate) const ANSWER: &str = "echo: one two three four";

/// How the caller wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Stream,
    Whole,
    Async,
}

/// Whether the caller can send its request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    With,
    Without,
}

/// One request and one point.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) point: String,
    pub(crate) form: Form,
    pub(crate) key: Key,
}

impl Case {
    /// Returns the cases in which a point is passed at all.
    pub(crate) fn all_of(point: &str) -> Vec<Self> {
        let mut cases = Vec::new();
        for form in [Form::Stream, Form::Whole, Form::Async] {
            for key in [Key::With, Key::Without] {
                let point = point.to_owned();
                cases.push(Self { point, form, key });
            }
        }
        cases.retain(Self::is_possible);
        cases
    }

    fn is_possible(&self) -> bool {
        match self.step() {
            // An answer in one piece begins with its end.
            "start" => self.form != Form::Whole,
            // The log of a job that only its caller wants is kept at its end.
            "chunk" => self.form == Form::Async || self.key == Key::With,
            _ => true,
        }
    }

    /// Returns the change that the point is around, or the point.
    pub(crate) fn step(&self) -> &str {
        let point = self.point.as_str();
        let (when, step) = point.split_once('_').unwrap();
        match (when, step) {
            ("in", _) => "recovery",
            (_, "read_body" | "connect" | "first_chunk" | "last_chunk") => point,
            (_, step) => step,
        }
    }

    /// Tells whether the change of the point is durable when it is met.
    pub(crate) fn is_after(&self) -> bool {
        self.point.starts_with("after_")
    }

    pub(crate) fn is_async(&self) -> bool {
        self.form == Form::Async
    }

    /// Returns how a foreman is started that lives.
    pub(crate) fn alive(&self) -> Builder {
        let builder = Builder::new(env!("CARGO_BIN_EXE_foreman-under-test"));
        match self.step() {
            "prune" => builder
                .set("RETAIN_BODIES", "1ms")
                .set("RETAIN_JOBS", "1ms"),
            _ => builder.set("RETRY_BASE", "1ms").set("RETRY_MAX", "1ms"),
        }
    }

    /// Returns how a foreman is started that dies at the point.
    pub(crate) fn doomed(&self, builder: Builder) -> Builder {
        builder.env("FAIL_POINT", &self.point)
    }

    /// Sends the request, for the first time or again.
    pub(crate) async fn send(&self, foreman: &Foreman) -> Exchange {
        let mut headers = Vec::new();
        if self.key == Key::With {
            headers.push(("Idempotency-Key", "k-1"));
        }
        if self.is_async() {
            headers.push(("Prefer", "respond-async"));
        }
        Exchange::post_with(foreman.url(), "/api/chat", &headers, &self.body()).await
    }

    fn body(&self) -> Value {
        match self.form {
            Form::Whole => chat(MODEL, PROMPT),
            Form::Stream | Form::Async => chat_stream(MODEL, PROMPT),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point, form, key } = self;
        write!(f, "{point}, {form:?}, {key:?} key")
    }
}

/// Returns the text of an answer, or of the part of it that came.
pub(crate) fn text(body: &str) -> String {
    let lines = body.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"]["content"].as_str().unwrap().to_owned()
    });
    lines.collect()
}
