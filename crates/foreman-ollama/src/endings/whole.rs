//! The end of an answer that is one JSON value.

use serde::Deserialize;

use crate::endings::event::Tokens;
use crate::endings::line::{ErrorText, NativeLine};
use crate::endings::{Unfinished, Usage};
use crate::request::Api;

/// The fields of a compatible answer that matter here.
#[derive(Debug, Deserialize)]
struct Compatible {
    #[serde(default)]
    error: Option<ErrorText>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    finish_reason: Option<String>,
}

/// Judges a body that came to its proper end.
pub(super) fn judge(api: Api, body: &[u8]) -> Result<Option<Usage>, Unfinished> {
    match api {
        Api::Chat | Api::Generate => native(body),
        Api::Embed | Api::Embeddings | Api::V1Embeddings => Ok(embedding(body)),
        Api::V1ChatCompletions | Api::V1Completions => {
            let answer = compatible(body)?;
            // A choice whose reason is null was cut off.
            let finished = answer
                .choices
                .first()
                .is_some_and(|choice| choice.finish_reason.is_some());
            if finished {
                Ok(answer.usage.map(|tokens| tokens.usage()))
            } else {
                Err(Unfinished::NoEnding)
            }
        }
        // A text, bare or in an object: its proper end is all that it has.
        Api::V1AudioTranscriptions => Ok(None),
        Api::V1Responses | Api::V1Messages => {
            Ok(compatible(body)?.usage.map(|tokens| tokens.usage()))
        }
    }
}

fn native(body: &[u8]) -> Result<Option<Usage>, Unfinished> {
    let answer: NativeLine = serde_json::from_slice(body).map_err(|_| Unfinished::NoEnding)?;
    let usage = answer.usage();
    match (answer.error, answer.done) {
        (Some(error), _) => Err(Unfinished::Error {
            message: error.into_message(),
        }),
        (None, Some(true)) => Ok(usage),
        (None, Some(false) | None) => Err(Unfinished::NoEnding),
    }
}

fn compatible(body: &[u8]) -> Result<Compatible, Unfinished> {
    let mut answer: Compatible = serde_json::from_slice(body).map_err(|_| Unfinished::NoEnding)?;
    match answer.error.take() {
        Some(error) => Err(Unfinished::Error {
            message: error.into_message(),
        }),
        None => Ok(answer),
    }
}

/// Reads the figures behind the numbers; the body may lack its beginning.
fn embedding(tail: &[u8]) -> Option<Usage> {
    let after = memchr::memrchr(b']', tail)?.checked_add(1)?;
    let figures = tail.get(after..)?.trim_ascii_start();
    let figures = figures.strip_prefix(b",").unwrap_or(figures);
    let object = [b"{".as_slice(), figures].concat();
    let compatible: Option<Compatible> = serde_json::from_slice(&object).ok();
    if let Some(tokens) = compatible.and_then(|answer| answer.usage) {
        return Some(tokens.usage());
    }
    serde_json::from_slice::<NativeLine>(&object).ok()?.usage()
}
