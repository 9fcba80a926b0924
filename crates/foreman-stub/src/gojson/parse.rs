//! Reads the first JSON value of a body with the leniency and the error texts of Go's decoder.

use thiserror::Error;

use super::{Node, Raw, Value, write::quote_byte};

/// Values nested deeper than this are refused, as by Go.
const MAX_DEPTH: usize = 10_000;
/// Values nested deeper than this are read but not kept: no request means anything by them, and
/// neither reading nor dropping them may use up the stack.
const KEPT_DEPTH: usize = 64;

/// Why a body is not JSON, in Go's words.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum SyntaxError {
    /// Nothing but white space.
    #[error("EOF")]
    Empty,
    /// Anything else.
    #[error("{0}")]
    Invalid(String),
}

/// Parses the first value; whatever follows it is ignored.
pub(crate) fn first_value(body: &[u8]) -> Result<Node, SyntaxError> {
    let mut parser = Parser {
        body,
        at: 0,
        depth: 0,
    };
    parser.space();
    if parser.peek().is_none() {
        return Err(SyntaxError::Empty);
    }
    parser.node()
}

struct Parser<'a> {
    body: &'a [u8],
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The error for the byte at the cursor, or for the end of the body.
    fn unexpected<T>(&self, context: &str) -> Parsed<T> {
        Err(SyntaxError::Invalid(match self.peek() {
            Some(byte) => format!("invalid character {} {context}", quote_byte(byte)),
            None => "unexpected EOF".to_owned(),
        }))
    }

    fn node(&mut self) -> Parsed<Node> {
        self.space();
        let start = self.at;
        let value = match self.peek() {
            Some(b'{' | b'[') if self.depth >= KEPT_DEPTH => self.passed_over()?,
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(_) | None => self.scalar()?,
        };
        Ok(Node {
            value,
            raw: Raw {
                start,
                end: self.at,
            },
        })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn scalar(&mut self) -> Parsed<Value> {
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) | None => self.unexpected("looking for beginning of value"),
        }
    }

    /// Reads an array or object without keeping what is in it, and without recursion.
    fn passed_over(&mut self) -> Parsed<Value> {
        let outermost = self.peek();
        let mut open = Vec::new();
        self.open_another(&mut open)?;
        let mut first = true;
        while let Some((end, after)) = open.last().copied() {
            self.space();
            match self.peek() {
                Some(byte) if byte == end => {
                    self.at += 1;
                    open.pop();
                    first = false;
                    continue;
                }
                Some(b',') if !first => self.at += 1,
                Some(_) if first => {}
                Some(_) | None => return self.unexpected(after),
            }
            if end == b'}' {
                self.key()?;
            }
            self.space();
            first = matches!(self.peek(), Some(b'{' | b'['));
            if first {
                self.open_another(&mut open)?;
            } else {
                self.scalar()?;
            }
        }
        Ok(match outermost {
            Some(b'{') => Value::Object(Vec::new()),
            Some(_) | None => Value::Array(Vec::new()),
        })
    }

    /// Opens one more array or object: what ends it, and what to say of bytes that do not.
    fn open_another(&mut self, open: &mut Vec<(u8, &'static str)>) -> Parsed<()> {
        if self.depth + open.len() >= MAX_DEPTH {
            return self.unexpected("exceeded max depth");
        }
        open.push(match self.peek() {
            Some(b'{') => (b'}', "after object key:value pair"),
            Some(_) | None => (b']', "after array element"),
        });
        self.at += 1;
        Ok(())
    }

    /// Reads a key with its colon.
    fn key(&mut self) -> Parsed<String> {
        self.space();
        if self.peek() != Some(b'"') {
            return self.unexpected("looking for beginning of object key string");
        }
        let key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return self.unexpected("after object key");
        }
        self.at += 1;
        Ok(key)
    }

    fn object(&mut self) -> Parsed<Value> {
        let mut pairs = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(pairs));
        }
        loop {
            let key = self.key()?;
            pairs.push((key, self.node()?));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(pairs));
                }
                Some(_) | None => return self.unexpected("after object key:value pair"),
            }
        }
    }

    fn array(&mut self) -> Parsed<Value> {
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.node()?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                Some(_) | None => return self.unexpected("after array element"),
            }
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Parsed<Value> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                let shown = char::from(expected);
                return self.unexpected(&format!("in literal {word} (expecting '{shown}')"));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            Some(_) | None => return self.unexpected("in numeric literal"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        let text = self.body.get(start..self.at).unwrap_or_default();
        Ok(Value::Number(String::from_utf8_lossy(text).into_owned()))
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, context: &str) -> Parsed<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.unexpected(context);
        }
        self.digits();
        Ok(())
    }

    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let plain = self.plain();
            self.at += plain.len();
            out.extend_from_slice(plain);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(String::from_utf8(out)
                        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into()));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                Some(_) | None => return self.unexpected("in string literal"),
            }
        }
    }

    /// What stands for itself in a string, from the cursor on.
    fn plain(&self) -> &'a [u8] {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let is_plain = |byte: &u8| *byte >= 0x20 && !matches!(byte, b'"' | b'\\');
        let end = rest.iter().position(|byte| !is_plain(byte));
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Parsed<()> {
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let c = self.unicode()?;
                let mut buffer = [0; 4];
                out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            Some(_) | None => return self.unexpected("in string escape code"),
        };
        out.push(plain);
        self.at += 1;
        Ok(())
    }

    /// Reads four hex digits, and the second half of a surrogate pair when one follows.
    fn unicode(&mut self) -> Parsed<char> {
        let first = self.hex4()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let rest = self.body.get(self.at..).unwrap_or_default();
        if first >= 0xdc00 || !rest.starts_with(b"\\u") {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let before = self.at;
        self.at += 2;
        let second = self.hex4()?;
        if (0xdc00..0xe000).contains(&second) {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = before;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(16)) else {
                return self.unexpected("in \\u hexadecimal character escape");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        first_value(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn syntax_errors_read_like_go() {
        let cases = [
            ("", "EOF"),
            ("  \n", "EOF"),
            (
                "{bad",
                "invalid character 'b' looking for beginning of object key string",
            ),
            ("{\"a\":1", "unexpected EOF"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            (
                "{\"a\":1 1}",
                "invalid character '1' after object key:value pair",
            ),
            ("[1 2]", "invalid character '2' after array element"),
            ("x", "invalid character 'x' looking for beginning of value"),
            (
                "\u{1f}",
                "invalid character '\\x1f' looking for beginning of value",
            ),
            (
                "trux",
                "invalid character 'x' in literal true (expecting 'e')",
            ),
            ("\"a\n\"", "invalid character '\\n' in string literal"),
            ("\"\\q\"", "invalid character 'q' in string escape code"),
            (
                "1.x",
                "invalid character 'x' after decimal point in numeric literal",
            ),
            ("-'", "invalid character '\\'' in numeric literal"),
        ];
        for (body, expected) in cases {
            assert_eq!(error(body), expected, "{body}");
        }
    }

    #[test]
    fn nesting_ends_where_gos_does() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let keyed = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);

        assert!(first_value(nested(10_000).as_bytes()).is_ok());
        assert!(first_value(keyed(10_000).as_bytes()).is_ok());
        assert_eq!(
            error(&nested(10_001)),
            "invalid character '[' exceeded max depth"
        );
        assert_eq!(
            error(&keyed(10_001)),
            "invalid character '{' exceeded max depth"
        );
        assert_eq!(error(&"[".repeat(5000)), "unexpected EOF");
    }

    #[test]
    fn what_lies_too_deep_to_be_kept_is_read_all_the_same() {
        let deep = |inside: &str| "[".repeat(100) + inside + &"]".repeat(100);

        for fine in ["{\"a\":[1,{}],\"b\":null}", "[], [ ] ,\"x\"", "", " 1 "] {
            assert!(first_value(deep(fine).as_bytes()).is_ok(), "{fine}");
        }
        for (wrong, expected) in [
            ("1 2", "invalid character '2' after array element"),
            ("1,", "invalid character ']' looking for beginning of value"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            (
                "{\"a\":1,}",
                "invalid character '}' looking for beginning of object key string",
            ),
            (
                "{\"a\":1]",
                "invalid character ']' after object key:value pair",
            ),
            ("x", "invalid character 'x' looking for beginning of value"),
        ] {
            assert_eq!(error(&deep(wrong)), expected, "{wrong}");
        }
    }

    #[test]
    fn what_follows_the_first_value_is_ignored() {
        let node = first_value(b" \n {\"A\":[1,{\"b\":null}]} trailing").unwrap();

        assert_eq!(node.value.pairs().len(), 1);
        assert_eq!(node.value.field("a").unwrap().value.items().len(), 2);
    }

    #[test]
    fn escapes_and_broken_text_become_what_go_makes_of_them() {
        let cases: [(&[u8], &str); 5] = [
            (b"\"\\u0041\\n\\/\"", "A\n/"),
            (b"\"\\ud83d\\ude00\"", "\u{1f600}"),
            (b"\"\\ud83dx\"", "\u{fffd}x"),
            (b"\"\\ud83d\\u0041\"", "\u{fffd}A"),
            (b"\"a\xffb\"", "a\u{fffd}b"),
        ];
        for (body, expected) in cases {
            assert_eq!(first_value(body).unwrap().value.text(), Some(expected));
        }
    }
}
