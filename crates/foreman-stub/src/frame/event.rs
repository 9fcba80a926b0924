//! What an answer consists of, and how it is handed to a framer.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;

/// One step of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A token of thought.
    Thinking(String),
    /// A token of text, with its log probabilities as JSON when they are wanted.
    Text(String, Option<String>),
    /// The end.
    Done(Final),
    /// The runner died.
    Broken(String),
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub(crate) struct ToolCall {
    /// Its id.
    pub(crate) id: String,
    /// The tool.
    pub(crate) name: String,
    /// Its arguments as a JSON object.
    pub(crate) arguments: String,
}

/// What the last event of an answer says.
#[derive(Clone, Debug)]
pub(crate) struct Final {
    /// Why it ended: `stop` or `length`.
    pub(crate) reason: &'static str,
    /// The tool to call.
    pub(crate) tool: Option<ToolCall>,
    /// Tokens of the prompt.
    pub(crate) prompt_tokens: usize,
    /// Tokens of the text.
    pub(crate) tokens: usize,
    /// The whole time, in nanoseconds.
    pub(crate) total: u128,
    /// The time until the runner was there, in nanoseconds.
    pub(crate) load: u128,
}

/// An answer that is sent at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// All thoughts.
    pub(crate) thinking: String,
    /// All text.
    pub(crate) text: String,
    /// All log probabilities as JSON objects, separated by commas.
    pub(crate) logprobs: String,
    /// True when any token came.
    pub(crate) started: bool,
    /// The end, when it came.
    pub(crate) done: Option<Final>,
}

/// Writes the answers of one API.
pub(crate) trait Framer: Send + Sync + fmt::Debug {
    /// The data chunks that one event of a stream becomes.
    fn event(&mut self, at: Timestamp, event: &Event) -> Vec<Bytes>;

    /// The body of an answer that is sent at once.
    fn whole(&mut self, at: Timestamp, answer: &Answer) -> String;

    /// The body of an answer that only says why there is nothing to answer.
    fn nothing(&mut self, at: Timestamp, _reason: &'static str) -> String {
        self.whole(at, &Answer::default())
    }
}
