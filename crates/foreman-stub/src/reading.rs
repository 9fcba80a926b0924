//! What the stub understands of a request body, for comparing it with other readers.

use std::time::Duration;

use crate::gojson::first_value;
use crate::model::{Reference, Source};
use crate::request;
use crate::scheduler::Keep;

/// What the stub reads in the body of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatReading {
    /// The model as the body spells it.
    pub model: String,
    /// Its name as lists show it, in lower case; none where the model runs in the cloud.
    pub name: Option<String>,
    /// Whether the answer comes in pieces.
    pub stream: bool,
    /// How long the model stays loaded, where the body says so.
    pub keep_alive: Option<KeepReading>,
}

/// How long a model stays loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepReading {
    /// So long.
    For(Duration),
    /// Until something else needs the room.
    Forever,
}

/// Reads the body of a chat as `/api/chat` does, up to the name of the model.
///
/// # Errors
///
/// What the stub would refuse, in its words.
pub fn read_chat(body: &[u8]) -> Result<ChatReading, String> {
    let value = first_value(body).map_err(|error| error.to_string())?;
    let work = request::chat(&value, body).map_err(|error| error.to_string())?;
    let reference = Reference::parse(&work.model).map_err(|error| error.to_string())?;
    let name = reference.name.short().to_ascii_lowercase();
    Ok(ChatReading {
        name: (reference.source != Source::Cloud).then_some(name),
        stream: work.stream,
        keep_alive: work.keep.map(|keep| match keep {
            Keep::For(span) => KeepReading::For(span),
            Keep::Forever => KeepReading::Forever,
        }),
        model: work.model,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_read_without_being_answered() {
        let body = br#"{"MODEL":"LLama3","stream":false,"keep_alive":"5m","messages":[]}"#;

        let reading = read_chat(body).unwrap();

        assert_eq!(reading.model, "LLama3");
        assert_eq!(reading.name.as_deref(), Some("llama3:latest"));
        assert!(!reading.stream);
        assert_eq!(
            reading.keep_alive,
            Some(KeepReading::For(Duration::from_mins(5)))
        );
        assert_eq!(read_chat(b"{").unwrap_err(), "unexpected EOF");
        assert_eq!(read_chat(b"{}").unwrap_err(), "model is required");
    }
}
