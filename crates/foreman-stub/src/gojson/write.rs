//! Writes JSON with Go's escapes.

use std::fmt::Write as _;

/// Room for what one answer usually takes.
const ROOM: usize = 384;

/// A JSON object under construction.
#[derive(Debug)]
pub(crate) struct Obj {
    out: String,
}

impl Obj {
    /// An empty object.
    pub(crate) fn new() -> Self {
        let mut out = String::with_capacity(ROOM);
        out.push('{');
        Self { out }
    }

    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    /// Adds a string.
    pub(crate) fn str(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        quote_into(&mut self.out, value);
        self
    }

    /// Adds a value that is JSON already.
    pub(crate) fn raw(mut self, key: &str, json: &str) -> Self {
        self.key(key);
        self.out.push_str(json);
        self
    }

    /// Adds anything that displays as a JSON number or boolean.
    pub(crate) fn put(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.key(key);
        put(&mut self.out, value);
        self
    }

    /// Adds a value when there is one.
    pub(crate) fn maybe(self, key: &str, json: Option<&str>) -> Self {
        match json {
            Some(json) => self.raw(key, json),
            None => self,
        }
    }

    /// Closes the object.
    pub(crate) fn end(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

/// A JSON array of values that are JSON already.
pub(crate) fn array<I, S>(items: I) -> String
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let mut out = String::from("[");
    for item in items {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(item.as_ref());
    }
    out.push(']');
    out
}

/// A JSON string with Go's escapes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(&mut out, text);
    out
}

fn quote_into(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(is_plain) {
        out.push_str(text);
    } else {
        escape_into(out, text);
    }
    out.push('"');
}

/// True for a byte that is part of no character with an escape.
fn is_plain(byte: u8) -> bool {
    // The last one begins U+2028 and U+2029.
    byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                put(out, format_args!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
}

/// A string as Go's `%q` prints it.
pub(crate) fn quote_go(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            other => escape_go(&mut out, other),
        }
    }
    out.push('"');
    out
}

/// A byte as Go's scanner shows it in an error.
pub(crate) fn quote_byte(byte: u8) -> String {
    let mut out = String::from("'");
    match byte {
        b'\'' => out.push_str("\\'"),
        other => escape_go(&mut out, char::from(other)),
    }
    out.push('\'');
    out
}

fn escape_go(out: &mut String, c: char) {
    let code = u32::from(c);
    match c {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        '\0'..='\u{1f}' | '\u{7f}' => put(out, format_args!("\\x{code:02x}")),
        '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' => {
            put(out, format_args!("\\u{code:04x}"));
        }
        _ => out.push(c),
    }
}

/// Writes what displays as something.
fn put(out: &mut String, value: impl std::fmt::Display) {
    let written = write!(out, "{value}");
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_like_go() {
        assert_eq!(
            quote("a<b>&\u{2028}\u{1}\n\"\\"),
            r#""a\u003cb\u003e\u0026\u2028\u0001\n\"\\""#
        );
        assert_eq!(quote_go("a\"b\\\u{1}"), r#""a\"b\\\x01""#);
    }

    #[test]
    fn objects_and_arrays_are_compact() {
        let object = Obj::new()
            .str("a", "x")
            .put("b", 1)
            .maybe("c", None)
            .raw("d", "[]")
            .end();

        assert_eq!(object, r#"{"a":"x","b":1,"d":[]}"#);
        assert_eq!(array(["1", "2"]), "[1,2]");
    }
}
