//! What is wrong with one value.

use std::fmt;

/// Says what was expected of a value, and never holds the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidValue {
    expected: String,
    reason: Option<String>,
    hide_value: bool,
}

impl InvalidValue {
    pub(super) fn expected(expected: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            reason: None,
            hide_value: false,
        }
    }

    pub(super) fn because(self, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }

    /// Keeps the value out of the message because a secret may be in it.
    pub(super) fn hidden(self) -> Self {
        Self {
            hide_value: true,
            ..self
        }
    }

    pub(super) fn hides_value(&self) -> bool {
        self.hide_value
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.reason {
            write!(f, "{reason}: ")?;
        }
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for InvalidValue {}
