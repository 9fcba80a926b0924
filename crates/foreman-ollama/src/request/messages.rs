//! The types inside a chat's messages.

use crate::request::fields::folds_to;
use crate::request::json::{Json, Kind, SyntaxError};
use crate::request::text;

/// The fields of a native message that must be a string, and those that must be a list.
const TEXTS: [&str; 5] = ["role", "content", "thinking", "tool_name", "tool_call_id"];
const LISTS: [(&str, &str); 2] = [
    ("images", "[]api.ImageData"),
    ("tool_calls", "[]api.ToolCall"),
];

/// What was found in a list of messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Whether there is any.
    pub(super) any: bool,
    /// The first member of the wrong type, in Ollama's words.
    pub(super) problem: Option<String>,
}

/// Counts the messages of the list that was just opened.
pub(super) fn count(json: &mut Json<'_>) -> Result<Messages, SyntaxError> {
    let mut found = Messages::default();
    while json.next_element(!found.any)? {
        found.any = true;
        json.value()?;
    }
    Ok(found)
}

/// Reads the native messages of the list that was just opened.
pub(super) fn read(json: &mut Json<'_>) -> Result<Messages, SyntaxError> {
    let mut found = Messages::default();
    while json.next_element(!found.any)? {
        found.any = true;
        let problem = match json.peek() {
            Some(b'{') => {
                json.begin()?;
                read_message(json)?
            }
            _ => match json.value()?.kind {
                Kind::Null => None,
                kind @ (Kind::Bool(_)
                | Kind::Number
                | Kind::String
                | Kind::Array
                | Kind::Object) => Some(wrong("", kind, "api.Alias")),
            },
        };
        found.problem = found.problem.or(problem);
    }
    Ok(found)
}

fn read_message(json: &mut Json<'_>) -> Result<Option<String>, SyntaxError> {
    let mut problem = None;
    let mut first = true;
    while let Some(key) = json.next_key(first)? {
        first = false;
        let kind = json.value()?.kind;
        // Longer keys cannot be known ones.
        if problem.is_none() && key.len() < 256 {
            problem = member_problem(&text::unquoted(key), kind);
        }
    }
    Ok(problem)
}

fn member_problem(key: &str, kind: Kind) -> Option<String> {
    if kind == Kind::Null {
        return None;
    }
    if let Some(name) = TEXTS.iter().find(|name| folds_to(key, name)) {
        return (kind != Kind::String).then(|| wrong(&format!(".{name}"), kind, "string"));
    }
    let (name, expected) = LISTS.iter().find(|(name, _)| folds_to(key, name))?;
    (kind != Kind::Array).then(|| wrong(&format!(".{name}"), kind, expected))
}

fn wrong(member: &str, kind: Kind, expected: &str) -> String {
    let word = kind.word();
    format!(
        "json: cannot unmarshal {word} into Go struct field ChatRequest.messages{member} of type {expected}"
    )
}
