//! Writes answers the way each API wants them.

mod anthropic;
mod event;
mod native;
mod openai;
mod responses;
mod transcript;

pub(crate) use anthropic::Anthropic;
pub(crate) use event::{Answer, Event, Final, Framer, ToolCall};
pub(crate) use native::Native;
pub(crate) use openai::OpenAi;
pub(crate) use responses::Responses;
pub(crate) use transcript::Transcript;
