//! The last line of a native stream.

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;
use serde::Deserialize;

use crate::endings::{Ending, Usage};

/// Made once: each chunk of each answer is searched.
static DONE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"done\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));

/// What one part of an answer says of its end.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) ending: Option<Ending>,
    pub(super) usage: Option<Usage>,
}

/// The fields of a native answer that matter here.
#[derive(Debug, Deserialize)]
pub(super) struct NativeLine {
    #[serde(default)]
    pub(super) done: Option<bool>,
    #[serde(default)]
    pub(super) error: Option<ErrorText>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
    #[serde(default)]
    load_duration: Option<u64>,
    #[serde(default)]
    total_duration: Option<u64>,
}

impl NativeLine {
    pub(super) fn usage(&self) -> Option<Usage> {
        let counted = [
            self.prompt_eval_count,
            self.eval_count,
            self.load_duration,
            self.total_duration,
        ];
        counted.iter().any(Option::is_some).then(|| Usage {
            prompt_tokens: self.prompt_eval_count.unwrap_or_default(),
            completion_tokens: self.eval_count.unwrap_or_default(),
            load: Duration::from_nanos(self.load_duration.unwrap_or_default()),
            total: Duration::from_nanos(self.total_duration.unwrap_or_default()),
        })
    }
}

/// An error as a text, or as an object with a message.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ErrorText {
    Text(String),
    Object {
        #[serde(default)]
        message: String,
    },
}

impl ErrorText {
    pub(super) fn into_ending(self) -> Ending {
        Ending::Error {
            message: self.into_message(),
        }
    }

    pub(super) fn into_message(self) -> String {
        match self {
            Self::Text(message) | Self::Object { message } => message,
        }
    }
}

/// Looks for the end in a part of whole lines.
pub(super) fn ending(part: &[u8]) -> Found {
    if !may_be_done(part) && ERROR.find(part).is_none() {
        return Found::default();
    }
    // A line should hold one object; what holds more is read as far as it can be.
    let lines = part.split(|byte| *byte == b'\n');
    let objects = lines.flat_map(|line| {
        let values = serde_json::Deserializer::from_slice(line).into_iter::<NativeLine>();
        values.map_while(Result::ok)
    });
    for line in objects {
        let usage = line.usage();
        if let Some(error) = line.error {
            return Found {
                ending: Some(error.into_ending()),
                usage,
            };
        }
        if line.done == Some(true) {
            return Found {
                ending: Some(Ending::Complete),
                usage,
            };
        }
    }
    Found::default()
}

/// Tells whether `"done": true` is somewhere, be it inside another value.
fn may_be_done(part: &[u8]) -> bool {
    DONE.find_iter(part).any(|at| {
        let value = part
            .get(at.saturating_add(6)..)
            .unwrap_or_default()
            .trim_ascii_start();
        value
            .strip_prefix(b":")
            .is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}
