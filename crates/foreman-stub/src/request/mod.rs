//! Requests for text, decoded from the several APIs into one kind of work.

mod chat;
mod fields;
mod generate;
mod messages;
mod openai;
mod options;
mod responses;
mod types;
mod work;

pub(crate) use chat::chat;
pub(crate) use fields::keep_alive;
pub(crate) use generate::generate;
pub(crate) use messages::messages;
pub(crate) use openai::{chat_completions, completions};
pub(crate) use options::{Options, options};
pub(crate) use responses::responses;
pub(crate) use work::{Api, Work};
