//! Fills typed fields from parsed values, collecting the first error in Go's words.

use thiserror::Error;

use super::{Node, Value, fold};

/// Why a body does not fit the request type, in Go's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct GoError(pub(crate) String);

/// Decodes one object into the fields of one Go struct.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The struct name as error texts show it, without its package.
    name: &'static str,
    error: Option<GoError>,
}

impl Decoder {
    /// Starts on a body that must be an object or `null`; `go_type` is the full Go name.
    pub(crate) fn new(go_type: &'static str, body: &Node) -> Self {
        let name = go_type.rsplit('.').next().unwrap_or(go_type);
        let error = match &body.value {
            Value::Null | Value::Object(_) => None,
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let kind = body.value.kind();
                Some(GoError(format!(
                    "json: cannot unmarshal {kind} into Go value of type {go_type}"
                )))
            }
        };
        Self { name, error }
    }

    /// Notes an error of a custom decoder.
    pub(crate) fn fail(&mut self, text: impl Into<String>) {
        self.error.get_or_insert_with(|| GoError(text.into()));
    }

    /// Notes that `node` does not fit the field at `path`.
    pub(crate) fn mismatch(&mut self, node: &Node, path: &str, go_type: &str) {
        let (kind, name) = (node.value.kind(), self.name);
        self.fail(format!(
            "json: cannot unmarshal {kind} into Go struct field {name}.{path} of type {go_type}"
        ));
    }

    /// The error noted first, or the decoded value.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, GoError> {
        self.error.map_or(Ok(value), Err)
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
                    let name = self.name;
                    self.fail(format!(
                        "json: cannot unmarshal number {text} into Go struct field {name}.{path} of type int"
                    ));
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

    /// The pairs of a struct or map field with folded keys.
    pub(crate) fn object<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        go_type: &str,
    ) -> Vec<(String, &'n Node)> {
        if !matches!(node.value, Value::Object(_) | Value::Null) {
            self.mismatch(node, path, go_type);
        }
        folded(node)
    }
}

/// The pairs of an object with folded keys.
pub(crate) fn folded(node: &Node) -> Vec<(String, &Node)> {
    node.value
        .pairs()
        .iter()
        .map(|(key, node)| (fold(key), node))
        .collect()
}
