//! Transcriptions: the text alone.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Answer, Event, Framer};
use crate::gojson::Obj;

/// Writes `/v1/audio/transcriptions`.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// True for plain text.
    pub(crate) plain: bool,
}

impl Framer for Transcript {
    fn event(&mut self, _at: Timestamp, event: &Event) -> Vec<Bytes> {
        match event {
            Event::Text(text, _) => vec![Bytes::from(text.clone())],
            Event::Thinking(_) | Event::Done(_) | Event::Broken(_) => Vec::new(),
        }
    }

    fn whole(&mut self, _at: Timestamp, answer: &Answer) -> String {
        if self.plain {
            answer.text.clone()
        } else {
            Obj::new().str("text", &answer.text).end()
        }
    }
}
