//! Fields that several requests have, decoded with Ollama's own error texts.

use std::time::Duration;

use super::work::Tool;
use crate::{
    duration::{Signed, parse_signed},
    gojson::{Decoder, Node, Obj, Value, quote, quote_go},
    scheduler::Keep,
};

/// The `keep_alive` field.
pub(crate) fn keep_alive(node: &Node) -> Result<Option<Keep>, String> {
    let signed = |negative, length| {
        if negative {
            Keep::Forever
        } else {
            Keep::For(length)
        }
    };
    Ok(Some(match &node.value {
        Value::Null => return Ok(None),
        Value::Number(text) => {
            let seconds: f64 = text.parse().unwrap_or_default();
            let length = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
            signed(seconds < 0.0, length)
        }
        Value::String(text) => {
            let Signed { negative, length } =
                parse_signed(text).map_err(|error| error.to_string())?;
            signed(negative, length)
        }
        Value::Bool(_) => return Err("Unsupported type: 'bool'".to_owned()),
        Value::Array(_) => return Err("Unsupported type: '[]interface {}'".to_owned()),
        Value::Object(_) => return Err("Unsupported type: 'map[string]interface {}'".to_owned()),
    }))
}

/// The `think` field.
pub(super) fn think(node: &Node) -> Result<Option<bool>, String> {
    const ALLOWED: &str = r#""high", "medium", "low", "max", true, or false)"#;
    match &node.value {
        Value::Null => Ok(None),
        Value::Bool(think) => Ok(Some(*think)),
        Value::String(level) if matches!(level.as_str(), "high" | "medium" | "low" | "max") => {
            Ok(Some(true))
        }
        Value::String(other) => Err(format!(
            "invalid think value: {} (must be {ALLOWED}",
            quote_go(other)
        )),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("think must be a boolean or string ({ALLOWED}"))
        }
    }
}

/// Decodes fields that chat and generate share; false when the key is another one.
pub(super) fn common(decoder: &mut Decoder, key: &str, node: &Node, into: &mut Common) -> bool {
    match key {
        "model" => decoder.string(node, "model", &mut into.model),
        "stream" => decoder.optional_boolean(node, "stream", &mut into.stream),
        "shift" => decoder.optional_boolean(node, "shift", &mut into.shift),
        "truncate" => decoder.optional_boolean(node, "truncate", &mut into.truncate),
        "format" => into.format = (!node.value.is_null()).then(|| node.clone()),
        "keep_alive" => match keep_alive(node) {
            Ok(keep) => into.keep = keep,
            Err(text) => decoder.fail(text),
        },
        "think" => match think(node) {
            Ok(think) => into.think = think,
            Err(text) => decoder.fail(text),
        },
        "options" => {
            decoder.map(node, "options");
            into.options = (!node.value.is_null()).then(|| node.clone());
        }
        "logprobs" => decoder.boolean(node, "logprobs", &mut into.logprobs),
        "top_logprobs" => decoder.integer(node, "top_logprobs", &mut into.top_logprobs),
        "_debug_render_only" => decoder.boolean(node, "_debug_render_only", &mut into.render_only),
        _ => return false,
    }
    true
}

/// What chat and generate share.
#[derive(Debug, Default)]
pub(super) struct Common {
    pub(super) model: String,
    pub(super) stream: Option<bool>,
    pub(super) shift: Option<bool>,
    truncate: Option<bool>,
    pub(super) format: Option<Node>,
    pub(super) keep: Option<Keep>,
    pub(super) think: Option<bool>,
    pub(super) options: Option<Node>,
    logprobs: bool,
    top_logprobs: Option<i64>,
    pub(super) render_only: bool,
}

impl Common {
    /// The number of alternatives, checked.
    pub(super) fn alternatives(&self) -> Result<Option<usize>, String> {
        let wanted = usize::try_from(self.top_logprobs.unwrap_or(0));
        match wanted {
            Ok(count) if count <= 20 => Ok(self.logprobs.then_some(count)),
            Ok(_) | Err(_) => Err("top_logprobs must be between 0 and 20".to_owned()),
        }
    }
}

/// Decodes one element of `images`.
pub(super) fn image(decoder: &mut Decoder, node: &Node, path: &str) {
    match &node.value {
        Value::String(text) => {
            if let Some(at) = base64_error(text) {
                decoder.fail(format!("illegal base64 data at input byte {at}"));
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            decoder.mismatch(node, path, "api.ImageData");
        }
    }
}

/// Where a text stops being base64.
pub(crate) fn base64_error(text: &str) -> Option<usize> {
    let bytes = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    let mut count = 0_usize;
    let mut padding = 0_usize;
    for (at, byte) in bytes {
        let letter = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        match (byte, padding) {
            (b'=', _) if count % 4 >= 2 => padding += 1,
            (_, 0) if letter => {}
            (_, _) => return Some(at),
        }
        count += 1;
    }
    let over = count % 4;
    // Without its padding the last group is wrong where it begins, else where it breaks off.
    (over > 0).then(|| text.len() - if padding > 0 { 0 } else { over })
}

/// A tool in the native and `OpenAI` form.
pub(super) fn tool(node: &Node) -> Option<Tool> {
    let function = &node.value.field("function")?.value;
    let name = function.field("name")?.value.text()?.to_owned();
    let arguments = function
        .field("parameters")
        .map_or_else(|| "{}".to_owned(), arguments);
    Some(Tool { name, arguments })
}

/// Arguments that satisfy a JSON schema: every property gets a plain value.
pub(super) fn arguments(schema: &Node) -> String {
    let properties = schema
        .value
        .field("properties")
        .map_or(&[][..], |p| p.value.pairs());
    let filled = properties
        .iter()
        .fold(Obj::new(), |object, (name, property)| {
            let kind = property
                .value
                .field("type")
                .and_then(|kind| kind.value.text());
            let value = match kind {
                Some("integer" | "number") => "1",
                Some("boolean") => "true",
                Some("array") => "[]",
                Some("object") => "{}",
                Some(_) | None => "\"stub\"",
            };
            let key = quote(name);
            object.raw(key.trim_matches('"'), value)
        });
    filled.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gojson::first_value;

    #[test]
    fn keep_alive_reads_numbers_and_durations() {
        let read = |json: &str| keep_alive(&first_value(json.as_bytes()).unwrap());
        let seconds = |n| Ok(Some(Keep::For(Duration::from_secs_f64(n))));

        assert_eq!(read("null"), Ok(None));
        assert_eq!(read("0"), Ok(Some(Keep::NOTHING)));
        assert_eq!(read("1.5"), seconds(1.5));
        assert_eq!(read("-0.001"), Ok(Some(Keep::Forever)));
        assert_eq!(read("\"-1m\""), Ok(Some(Keep::Forever)));
        assert_eq!(read("\"0\""), Ok(Some(Keep::NOTHING)));
        assert_eq!(read("\"1h30m\""), seconds(5400.0));
        assert_eq!(read("\"\""), Err("time: invalid duration \"\"".to_owned()));
        assert_eq!(read("true"), Err("Unsupported type: 'bool'".to_owned()));
    }

    #[test]
    fn base64_is_checked_like_go() {
        assert_eq!(base64_error("aGVsbG8="), None);
        assert_eq!(base64_error("aGVs\nbG8="), None);
        assert_eq!(base64_error("!!!"), Some(0));
        assert_eq!(base64_error("aGV"), Some(0));
        assert_eq!(base64_error("aGVsbG8"), Some(4));
        assert_eq!(base64_error("aGVsbA="), Some(7));
        assert_eq!(base64_error("aGVsbG8=x"), Some(8));
    }
}
