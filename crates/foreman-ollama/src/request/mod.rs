//! What scheduling needs from a request body, read the way Ollama reads it.

mod api;
mod check;
mod draft;
mod fields;
mod form;
mod json;
mod keep_alive;
mod messages;
mod options;
mod rejection;
mod text;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use api::{Api, Shape};
pub use check::{RequestHead, RequestKind, scan};
pub use form::scan_form;
pub use keep_alive::{KeepAlive, KeepAliveError, with_keep_alive};
pub use options::LoadOptions;
pub use rejection::{Rejection, unknown_model};
pub(crate) use text::quoted;
