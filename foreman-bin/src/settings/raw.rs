//! A value as a source gave it, before it is understood.

use std::collections::BTreeMap;

/// Longest part of a value that a message repeats.
const SHOWN: usize = 80;

/// A value without a type of ours yet. Has no `Debug`: it may hold a secret.
pub(super) enum Raw {
    Text(String),
    Whole(i128),
    Switch(bool),
    List(Vec<Self>),
    Table(BTreeMap<String, Self>),
    /// Something that no setting is made of, in words.
    Other(&'static str),
}

impl Raw {
    /// Returns the text where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()),
            Self::Whole(_) | Self::Switch(_) | Self::List(_) | Self::Table(_) | Self::Other(_) => {
                None
            }
        }
    }

    /// Returns a text or a whole number as text: `5` in a file is as good as `"5"`.
    pub(super) fn scalar(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.trim().to_owned()),
            Self::Whole(number) => Some(number.to_string()),
            Self::Switch(_) | Self::List(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }

    /// Tells whether it is an empty text or list, which stands for no value.
    pub(super) fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Whole(_) | Self::Switch(_) | Self::Table(_) | Self::Other(_) => false,
        }
    }

    /// Returns it in the words of a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) if text.chars().count() > SHOWN => {
                let head: String = text.chars().take(SHOWN).collect();
                format!("{head:?}…")
            }
            Self::Text(text) => format!("{text:?}"),
            Self::Whole(number) => number.to_string(),
            Self::Switch(on) => on.to_string(),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Other(name) => (*name).to_owned(),
        }
    }
}
