//! Watches the parts of an answer go by.

use bytes::{Bytes, BytesMut};

use crate::endings::{Ending, Unfinished, Usage, event, line, whole};
use crate::request::{Api, Shape};

/// Bytes kept of an embedding: its figures stand at its end, after megabytes of numbers.
const TAIL: usize = 4096;

/// Watches one answer.
///
/// Costs a search for a few bytes in each part; only parts that may be the last are parsed.
#[derive(Debug)]
pub struct EndingDetector {
    api: Api,
    streamed: bool,
    ending: Option<Ending>,
    usage: Option<Usage>,
    /// The parts of a body that is one JSON value.
    parts: Vec<Bytes>,
}

impl EndingDetector {
    /// Starts with an answer's first byte; `streamed` is whether it comes as lines or events.
    ///
    /// An answer to a streaming request that is one JSON object, as loading gives, counts as a
    /// stream of one line.
    pub fn new(api: Api, streamed: bool) -> Self {
        Self {
            api,
            streamed,
            ending: None,
            usage: None,
            parts: Vec::new(),
        }
    }

    /// Takes the next part, which holds whole lines or events if the answer is streamed.
    ///
    /// Returns how the answer ends if this part says so; after that, parts are not looked at.
    pub fn feed(&mut self, part: &Bytes) -> Option<Ending> {
        if self.ending.is_some() {
            return None;
        }
        if !self.streamed {
            self.keep(part);
            return None;
        }
        let found = match self.api.shape() {
            Shape::Ollama => line::ending(part),
            Shape::OpenAi | Shape::Anthropic => event::ending(self.api, part),
        };
        if found.usage.is_some() {
            self.usage = found.usage;
        }
        self.ending.clone_from(&found.ending);
        found.ending
    }

    /// Returns the figures seen so far.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Judges the answer when its body is at its proper end; returns its figures.
    ///
    /// # Errors
    ///
    /// An answer whose last part is missing, or that ends with an error.
    pub fn finish(self) -> Result<Option<Usage>, Unfinished> {
        if !self.streamed {
            return whole::judge(self.api, &join(self.parts));
        }
        match self.ending {
            Some(Ending::Complete) => Ok(self.usage),
            Some(Ending::Error { message }) => Err(Unfinished::Error { message }),
            None => Err(Unfinished::NoEnding),
        }
    }

    fn keep(&mut self, part: &Bytes) {
        self.parts.push(part.clone());
        if self.api.is_embedding() {
            let kept: usize = self.parts.iter().map(Bytes::len).sum();
            let first = self.parts.first().map_or(0, Bytes::len);
            if self.parts.len() > 1 && kept.saturating_sub(first) >= TAIL {
                self.parts.remove(0);
            }
        }
    }
}

fn join(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() <= 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    for part in parts {
        joined.extend_from_slice(&part);
    }
    joined.freeze()
}
