//! What all requests for text come down to.

use crate::{frame::Framer, gojson::Node, scheduler::Keep};

/// The API that a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// `/api/chat`.
    Chat,
    /// `/api/generate`.
    Generate,
    /// `/v1/chat/completions`.
    ChatCompletions,
    /// `/v1/completions`.
    Completions,
    /// `/v1/responses`.
    Responses,
    /// `/v1/messages`.
    Messages,
}

impl Api {
    /// True for the routes under `/api`.
    pub(crate) fn is_native(self) -> bool {
        matches!(self, Self::Chat | Self::Generate)
    }

    /// True where the work is a completion rather than a chat.
    pub(crate) fn completes(self) -> bool {
        matches!(self, Self::Generate | Self::Completions)
    }
}

/// A tool that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: String,
    /// Arguments that fit its parameters, as JSON.
    pub(crate) arguments: String,
}

/// A request for text.
#[derive(Debug)]
pub(crate) struct Work {
    /// Where it came from.
    pub(crate) api: Api,
    /// The model as the request spells it.
    pub(crate) model: String,
    /// True when the answer is to be streamed.
    pub(crate) stream: bool,
    /// How long the runner stays, if the request says so.
    pub(crate) keep: Option<Keep>,
    /// The `options` object.
    pub(crate) options: Option<Node>,
    /// The `shift` field.
    pub(crate) shift: Option<bool>,
    /// The `think` field: whether to think.
    pub(crate) think: Option<bool>,
    /// What is echoed.
    pub(crate) text: String,
    /// How many tokens the whole prompt has.
    pub(crate) prompt_tokens: usize,
    /// True when there is nothing to answer: the request only loads or unloads.
    pub(crate) empty: bool,
    /// The `format` field as it was sent.
    pub(crate) format: Option<String>,
    /// The first tool offered.
    pub(crate) tool: Option<Tool>,
    /// How many alternatives each token's log probability comes with, if any are wanted.
    pub(crate) logprobs: Option<usize>,
    /// True when the middle is to be filled in.
    pub(crate) insert: bool,
    /// The most tokens of the answer, from a field outside the options.
    pub(crate) max_tokens: Option<i64>,
    /// What is wrong with it once its model is known to exist.
    pub(crate) refused: Option<String>,
    /// The prompt as `_debug_render_only` shows it.
    pub(crate) rendered: Option<String>,
    /// Writes the answer.
    pub(crate) framer: Box<dyn Framer>,
}

impl Work {
    /// Work with nothing in it.
    pub(crate) fn new(api: Api, model: String, framer: Box<dyn Framer>) -> Self {
        Self {
            api,
            model,
            stream: api.is_native(),
            keep: None,
            options: None,
            shift: None,
            think: None,
            text: String::new(),
            prompt_tokens: 0,
            empty: false,
            format: None,
            tool: None,
            logprobs: None,
            insert: false,
            max_tokens: None,
            refused: None,
            rendered: None,
            framer,
        }
    }
}

/// How many tokens a text counts as.
pub(crate) fn tokens_of(text: &str) -> usize {
    text.split_whitespace().count()
}
