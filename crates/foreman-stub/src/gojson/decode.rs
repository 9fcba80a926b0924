//! Fills typed fields from parsed values, collecting the first error in Go's words.

use std::borrow::Cow;

use thiserror::Error;

use super::{Node, Value, fold};

/// Why a body does not fit the request type, in Go's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct GoError(pub(crate) String);

/// What Ollama decodes a field into.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GoType {
    /// A string.
    Text,
    /// A boolean.
    Bool,
    /// An integer.
    Int,
    /// A number, of this type.
    Float(&'static str),
    /// A struct or map, of this type.
    Object(&'static str),
    /// A list of this type, with items of that.
    List(&'static str, &'static Self),
}

impl GoType {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float(name) | Self::Object(name) | Self::List(name, _) => name,
        }
    }
}

/// Decodes one object into the fields of one Go struct.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The struct name as error texts show it, without its package.
    name: &'static str,
    /// The first value of a wrong type: decoding goes on, and ends with it.
    kept: Option<GoError>,
    /// What a field's own decoder said first: nothing after it is decoded.
    stop: Option<GoError>,
}

impl Decoder {
    /// Starts on a body that must be an object or `null`; `go_type` is the full Go name.
    pub(crate) fn new(go_type: &'static str, body: &Node) -> Self {
        let name = go_type.rsplit('.').next().unwrap_or(go_type);
        let kept = match &body.value {
            Value::Null | Value::Object(_) => None,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let kind = body.value.kind();
                Some(GoError(format!(
                    "json: cannot unmarshal {kind} into Go value of type {go_type}"
                )))
            }
        };
        Self {
            name,
            kept,
            stop: None,
        }
    }

    /// Notes an error of a field's own decoder, which ends all decoding.
    pub(crate) fn fail(&mut self, text: impl Into<String>) {
        self.stop.get_or_insert_with(|| GoError(text.into()));
    }

    /// Notes a value of a wrong type.
    fn keep(&mut self, text: String) {
        if self.stop.is_none() {
            self.kept.get_or_insert(GoError(text));
        }
    }

    /// Makes a wrong type that was noted since then end all decoding: so it is within a field that
    /// decodes itself.
    pub(crate) fn harden(&mut self, since: bool) {
        if !since && self.stop.is_none() {
            self.stop = self.kept.take();
        }
    }

    /// Tells whether a wrong type was noted.
    pub(crate) fn is_wrong(&self) -> bool {
        self.kept.is_some()
    }

    /// Notes that `node` does not fit the field at `path`.
    pub(crate) fn mismatch(&mut self, node: &Node, path: &str, go_type: &str) {
        let (kind, name) = (node.value.kind(), self.name);
        let given = match &node.value {
            Value::Number(text) if matches!(go_type, "int" | "float64") => format!("{kind} {text}"),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => kind.to_owned(),
        };
        self.keep(format!(
            "json: cannot unmarshal {given} into Go struct field {name}.{path} of type {go_type}"
        ));
    }

    /// The error noted first, or the decoded value.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, GoError> {
        self.stop.or(self.kept).map_or(Ok(value), Err)
    }

    /// A string field; `null` leaves it as it was.
    pub(crate) fn string(&mut self, node: &Node, path: &str, into: &mut String) {
        match &node.value {
            Value::Null => {}
            Value::String(text) => into.clone_from(text),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                self.mismatch(node, path, "string");
            }
        }
    }

    /// A plain boolean field; `null` leaves it as it was.
    pub(crate) fn boolean(&mut self, node: &Node, path: &str, into: &mut bool) {
        let mut value = None;
        self.optional_boolean(node, path, &mut value);
        *into = value.unwrap_or(*into);
    }

    /// A pointer to a boolean; `null` clears it.
    pub(crate) fn optional_boolean(&mut self, node: &Node, path: &str, into: &mut Option<bool>) {
        match &node.value {
            Value::Null => *into = None,
            Value::Bool(value) => *into = Some(*value),
            Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                self.mismatch(node, path, "bool");
            }
        }
    }

    /// An integer field; `null` clears it.
    pub(crate) fn integer(&mut self, node: &Node, path: &str, into: &mut Option<i64>) {
        match &node.value {
            Value::Null => *into = None,
            Value::Number(text) => {
                *into = text.parse().ok();
                if into.is_none() {
                    self.mismatch(node, path, "int");
                }
            }
            Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                self.mismatch(node, path, "int");
            }
        }
    }

    /// The elements of a list field; anything but an array or `null` is an error.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, path: &str, go_type: &str) -> &'n [Node] {
        if !matches!(node.value, Value::Array(_) | Value::Null) {
            self.mismatch(node, path, go_type);
        }
        node.value.items()
    }

    /// A field of which only the type matters.
    pub(crate) fn check(&mut self, node: &Node, path: &str, go: GoType) {
        match (go, &node.value) {
            (_, Value::Null)
            | (GoType::Text, Value::String(_))
            | (GoType::Bool, Value::Bool(_))
            | (GoType::Float(_), Value::Number(_))
            | (GoType::Object(_), Value::Object(_)) => {}
            (GoType::Int, Value::Number(_)) => self.integer(node, path, &mut None),
            (GoType::List(_, item), Value::Array(items)) => {
                for node in items {
                    self.check(node, path, *item);
                }
            }
            (go, _) => self.mismatch(node, path, go.name()),
        }
    }

    /// A map of anything: in it every number must be one that Go can hold.
    pub(crate) fn map(&mut self, node: &Node, path: &str) {
        self.check(node, path, GoType::Object("map[string]interface {}"));
        self.numbers(node, path);
    }

    fn numbers(&mut self, node: &Node, path: &str) {
        match &node.value {
            Value::Number(text) if text.parse().is_ok_and(f64::is_infinite) => {
                self.mismatch(node, path, "float64");
            }
            Value::Array(items) => items.iter().for_each(|it| self.numbers(it, path)),
            Value::Object(pairs) => pairs.iter().for_each(|(_, it)| self.numbers(it, path)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The pairs of a struct or map field with folded keys.
    pub(crate) fn object<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        go_type: &'static str,
    ) -> Vec<(Cow<'n, str>, &'n Node)> {
        self.check(node, path, GoType::Object(go_type));
        folded(node)
    }
}

/// The pairs of an object with folded keys.
pub(crate) fn folded(node: &Node) -> Vec<(Cow<'_, str>, &Node)> {
    node.value
        .pairs()
        .iter()
        .map(|(key, node)| (fold(key), node))
        .collect()
}
