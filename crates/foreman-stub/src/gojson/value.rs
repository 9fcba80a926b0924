//! Parsed values, which keep order, duplicates and the text they came from.

use std::borrow::Cow;

/// One parsed value with the place it was found at.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// Its text as it was sent.
    pub(crate) raw: Raw,
}

/// Where a value starts and ends in the body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Raw {
    /// The bytes of the value within the body it was parsed from.
    pub(crate) fn of(self, body: &[u8]) -> String {
        let bytes = body.get(self.start..self.end).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// A JSON value; objects keep order and duplicates.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object, in order, with duplicates.
    Object(Vec<(String, Node)>),
}

impl Value {
    /// The word that Go uses for this kind of value in its error texts.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The last field whose key matches without regard to case.
    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        self.pairs()
            .iter()
            .rev()
            .find(|(key, _)| fold(key) == name)
            .map(|(_, node)| node)
    }

    /// The key-value pairs of an object; none for anything else.
    pub(crate) fn pairs(&self) -> &[(String, Node)] {
        match self {
            Self::Object(pairs) => pairs,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Array(_) => &[],
        }
    }

    /// The elements of an array; none for anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match self {
            Self::Array(items) => items,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Object(_) => &[],
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// True for `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// Folds a key the way Go does when it looks for a struct field.
pub(crate) fn fold(key: &str) -> Cow<'_, str> {
    if key
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
    {
        return Cow::Borrowed(key);
    }
    let folded = key.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.collect()
}
