//! Writes JSON with Go's escapes.

use std::fmt::Write as _;

/// A JSON object under construction.
#[derive(Debug)]
pub(crate) struct Obj {
    out: String,
}

impl Obj {
    /// An empty object.
    pub(crate) fn new() -> Self {
        let mut out = String::with_capacity(192);
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
        let written = write!(self.out, "{value}");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
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
                let written = write!(out, "\\u{:04x}", u32::from(c));
                debug_assert!(written.is_ok(), "writing to a string cannot fail");
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// A string as Go's `%q` prints it.
pub(crate) fn quote_go(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            other => out.push_str(&escape_go(other)),
        }
    }
    out.push('"');
    out
}

/// A byte as Go's scanner shows it in an error.
pub(crate) fn quote_byte(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        other => format!("'{}'", escape_go(char::from(other))),
    }
}

fn escape_go(c: char) -> String {
    match c {
        '\\' => "\\\\".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\0'..='\u{1f}' | '\u{7f}' => format!("\\x{:02x}", u32::from(c)),
        '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' => {
            format!("\\u{:04x}", u32::from(c))
        }
        _ => c.to_string(),
    }
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
