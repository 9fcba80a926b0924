//! The whole answer before it is said: its tokens and its end, a function of the request.

use std::{mem::take, time::Duration};

use super::directive::{Call, Directives, Ending, directives};
use crate::{
    core::Settings,
    frame::ToolCall,
    gojson::{Obj, array, quote},
    request::Work,
};

/// Echoes are cut after this many words.
const LONGEST_ECHO: usize = 1000;
/// What a thinking model thinks.
const THOUGHTS: [&str; 2] = ["Hmm ", "ok."];
/// How many tokens come before the runner dies in the middle.
const BEFORE_DEATH: usize = 2;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Of a thought.
    Thought(&'static str),
    /// Of the text.
    Text(String),
}

/// An answer to be said.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    thoughts: &'static [&'static str],
    words: Vec<String>,
    /// Tokens of the text.
    pub(super) tokens: usize,
    /// Why it ends.
    pub(super) reason: &'static str,
    /// The tool to call at the end.
    pub(super) tool: Option<ToolCall>,
    /// The time before the first token.
    pub(super) first: Duration,
    /// The time between tokens.
    pub(super) pace: Duration,
    /// How many alternatives each token's log probability comes with, if there are any.
    pub(super) logprobs: Option<usize>,
    /// How it ends.
    pub(super) ending: Ending,
}

impl Plan {
    /// Plans the answer to `work`; `limit` is the most tokens it may have.
    pub(super) fn new(work: &Work, settings: &Settings, thinks: bool, limit: Option<i64>) -> Self {
        let (
            Directives {
                tokens,
                pace,
                first,
                tool_call,
                no_thoughts,
                no_logprobs,
                ending,
            },
            prompt,
        ) = directives(&work.text);
        let said = settings
            .answer
            .clone()
            .unwrap_or_else(|| format!("echo: {prompt}"));
        let words: Vec<_> = said
            .split_inclusive(char::is_whitespace)
            .take(LONGEST_ECHO)
            .map(str::to_owned)
            .collect();
        let mut count = tokens.or(settings.tokens).unwrap_or(words.len());
        let mut reason = "stop";
        if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok())
            && count > limit
        {
            (count, reason) = (limit, "length");
        }
        let tool = match (tool_call, &work.tool) {
            (Some(arguments), Some(tool)) => Some(ToolCall {
                id: "call_stub0001".to_owned(),
                name: tool.name.clone(),
                arguments: match arguments {
                    Call::Fitting => tool.arguments.clone(),
                    Call::With(arguments) => arguments,
                },
            }),
            (Some(_), None) | (None, _) => None,
        };
        Self {
            thoughts: if thinks && !no_thoughts {
                &THOUGHTS
            } else {
                &[]
            },
            logprobs: work.logprobs.filter(|_| !no_logprobs),
            words,
            tokens: count,
            reason,
            tool,
            first,
            pace: pace.unwrap_or(settings.pace),
            ending,
        }
    }

    /// Takes the token at `index`, counted over thoughts and text; `None` at the end.
    pub(super) fn take_token(&mut self, index: usize) -> Option<Token> {
        if let Some(thought) = self.thoughts.get(index) {
            return Some(Token::Thought(thought));
        }
        let index = index - self.thoughts.len();
        if index >= self.tokens || (self.ending == Ending::ErrorMid && index >= BEFORE_DEATH) {
            return None;
        }
        let word = self.words.get_mut(index).map(take);
        Some(Token::Text(word.unwrap_or_else(|| format!("t{index} "))))
    }
}

/// The log probabilities of one token with some alternatives.
pub(super) fn logprobs(token: &str, alternatives: usize) -> String {
    let one = |token: &str, logprob: &str| {
        let bytes = array(token.bytes().map(|byte| byte.to_string()));
        Obj::new()
            .raw("token", &quote(token))
            .raw("logprob", logprob)
            .raw("bytes", &bytes)
    };
    let others = (0..alternatives).map(|n| match n {
        0 => one(token, "-0.1").end(),
        n => one(&format!("alt{n}"), &format!("-{n}.5")).end(),
    });
    let object = one(token, "-0.1");
    if alternatives == 0 {
        object.end()
    } else {
        object.raw("top_logprobs", &array(others)).end()
    }
}
