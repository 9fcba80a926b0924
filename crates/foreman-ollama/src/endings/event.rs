//! The last event of a stream of server-sent events.

use memchr::memmem;
use serde::Deserialize;

use crate::endings::line::{ErrorText, Found};
use crate::endings::{Ending, Usage};
use crate::request::Api;

/// The fields of an event's data that matter here.
#[derive(Debug, Deserialize)]
struct Data {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    error: Option<ErrorText>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    response: Option<Inner>,
    #[serde(default)]
    message: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Inner {
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    error: Option<ErrorText>,
}

/// Counts of tokens, by the names of either API.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    #[serde(rename = "prompt_tokens", alias = "input_tokens")]
    read: Option<u64>,
    #[serde(rename = "completion_tokens", alias = "output_tokens")]
    written: Option<u64>,
}

impl Tokens {
    pub(super) fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.read.unwrap_or_default(),
            completion_tokens: self.written.unwrap_or_default(),
            ..Usage::default()
        }
    }
}

/// Looks for the end in a part of whole events.
pub(super) fn ending(api: Api, part: &[u8]) -> Found {
    let marks: &[&[u8]] = match api {
        Api::V1Messages => &[b"message_stop", b"message_delta", b"\"error\""],
        Api::V1Responses => &[
            b"response.completed",
            b"response.incomplete",
            b"response.failed",
            b"\"error\"",
        ],
        Api::Chat
        | Api::Generate
        | Api::Embed
        | Api::Embeddings
        | Api::V1ChatCompletions
        | Api::V1Completions
        | Api::V1Embeddings
        | Api::V1AudioTranscriptions => &[b"[DONE]", b"\"usage\"", b"\"error\""],
    };
    let mut found = Found::default();
    if !marks.iter().any(|mark| memmem::find(part, mark).is_some()) {
        return found;
    }
    for line in part.split(|byte| *byte == b'\n') {
        let Some(data) = line.trim_ascii_end().strip_prefix(b"data:") else {
            continue;
        };
        let data = data.trim_ascii_start();
        if data == b"[DONE]" {
            found.ending = Some(Ending::Complete);
            return found;
        }
        let Ok(data) = serde_json::from_slice::<Data>(data) else {
            continue;
        };
        if let Some(tokens) = data.tokens() {
            found.usage = Some(tokens.usage());
        }
        found.ending = data.into_ending();
        if found.ending.is_some() {
            return found;
        }
    }
    found
}

impl Data {
    fn tokens(&self) -> Option<&Tokens> {
        // The first event of a message estimates; only what comes after is counted.
        let first = self.message.is_some();
        self.usage
            .as_ref()
            .filter(|_| !first)
            .or_else(|| self.response.as_ref()?.usage.as_ref())
    }

    fn into_ending(self) -> Option<Ending> {
        match self.kind.as_deref() {
            Some("message_stop" | "response.completed" | "response.incomplete") => {
                Some(Ending::Complete)
            }
            Some("response.failed") => Some(Ending::Error {
                message: self
                    .response
                    .and_then(|response| response.error)
                    .map(ErrorText::into_message)
                    .unwrap_or_default(),
            }),
            Some("error") => Some(Ending::Error {
                message: self.error.map(ErrorText::into_message).unwrap_or_default(),
            }),
            // Only streams without event types say it with a bare error.
            None => self.error.map(ErrorText::into_ending),
            Some(_) => None,
        }
    }
}
