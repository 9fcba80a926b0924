//! A JSON scanner with Go's rules and Go's words.
//!
//! Walks a body once, without building a tree and without recursion.

use memchr::memchr2;

use crate::request::text;

/// Go refuses deeper nesting.
const MAX_DEPTH: usize = 10_000;

/// Where and how a body stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyntaxError {
    /// Nothing but space.
    Empty,
    /// The body ends inside the value.
    Eof,
    /// A byte that cannot stand where it stands.
    Byte { byte: u8, context: &'static str },
}

impl SyntaxError {
    pub(super) fn message(self) -> String {
        match self {
            Self::Empty => "EOF".to_owned(),
            Self::Eof => "unexpected EOF".to_owned(),
            Self::Byte { byte, context } => {
                format!("invalid character {} {context}", text::quoted_byte(byte))
            }
        }
    }
}

/// What sort of value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// Returns Go's word for it in errors about types.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// One value and its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) kind: Kind,
    pub(super) raw: &'a [u8],
}

impl Value<'_> {
    /// Returns the text of a string value.
    pub(super) fn text(&self) -> String {
        text::unquoted(inside(self.raw)).into_owned()
    }

    /// Tells whether this is the string of no characters.
    pub(super) fn is_empty_text(&self) -> bool {
        self.raw == b"\"\""
    }

    /// Returns the digits of a number value.
    pub(super) fn digits(&self) -> &str {
        std::str::from_utf8(self.raw).unwrap_or_default()
    }
}

/// A place in a body.
#[derive(Debug)]
pub(super) struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Json<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
        }
    }

    /// Returns the index of the next unread byte.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Looks at the next value without reading it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.bytes.get(self.at) {
            self.at = self.at.saturating_add(1);
        }
        self.bytes.get(self.at).copied()
    }

    /// Reads one value whole.
    pub(super) fn value(&mut self) -> Result<Value<'a>, SyntaxError> {
        self.peek();
        let start = self.at;
        let kind = self.begin()?;
        if matches!(kind, Kind::Array | Kind::Object) {
            self.rest_of(kind)?;
        }
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        Ok(Value { kind, raw })
    }

    /// Reads the scalar that comes next, or the opening of the array or object.
    pub(super) fn begin(&mut self) -> Result<Kind, SyntaxError> {
        let byte = self.peek().ok_or(SyntaxError::Eof)?;
        match byte {
            b'{' => self.open(byte).map(|()| Kind::Object),
            b'[' => self.open(byte).map(|()| Kind::Array),
            b'"' => self.string().map(|_| Kind::String),
            b't' => self.literal("true").map(|()| Kind::Bool(true)),
            b'f' => self.literal("false").map(|()| Kind::Bool(false)),
            b'n' => self.literal("null").map(|()| Kind::Null),
            b'-' | b'0'..=b'9' => self.number().map(|()| Kind::Number),
            _ => Err(unexpected(byte, "looking for beginning of value")),
        }
    }

    /// Reads the next key of the innermost object, colon included; `None` closes the object.
    pub(super) fn next_key(&mut self, first: bool) -> Result<Option<&'a [u8]>, SyntaxError> {
        const KEY: &str = "looking for beginning of object key string";
        match self.peek().ok_or(SyntaxError::Eof)? {
            b'}' => {
                self.close();
                return Ok(None);
            }
            b',' if !first => self.step(),
            b'"' if first => {}
            byte if first => return Err(unexpected(byte, KEY)),
            byte => return Err(unexpected(byte, "after object key:value pair")),
        }
        match self.peek().ok_or(SyntaxError::Eof)? {
            b'"' => {}
            byte => return Err(unexpected(byte, KEY)),
        }
        let key = self.string()?;
        match self.peek().ok_or(SyntaxError::Eof)? {
            b':' => self.step(),
            byte => return Err(unexpected(byte, "after object key")),
        }
        Ok(Some(key))
    }

    /// Moves to the next element of the innermost array; `false` closes the array.
    pub(super) fn next_element(&mut self, first: bool) -> Result<bool, SyntaxError> {
        match self.peek().ok_or(SyntaxError::Eof)? {
            b']' => {
                self.close();
                Ok(false)
            }
            b',' if !first => {
                self.step();
                // A comma promises a value: `]` after it is an error of that value.
                Ok(true)
            }
            _ if first => Ok(true),
            byte => Err(unexpected(byte, "after array element")),
        }
    }

    fn rest_of(&mut self, outer: Kind) -> Result<(), SyntaxError> {
        let mut open = vec![outer];
        let mut first = true;
        while let Some(container) = open.last() {
            let more = match container {
                Kind::Object => self.next_key(first)?.is_some(),
                Kind::Array | Kind::Null | Kind::Bool(_) | Kind::Number | Kind::String => {
                    self.next_element(first)?
                }
            };
            if !more {
                open.pop();
                first = false;
                continue;
            }
            let kind = self.begin()?;
            first = matches!(kind, Kind::Array | Kind::Object);
            if first {
                open.push(kind);
            }
        }
        Ok(())
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn open(&mut self, byte: u8) -> Result<(), SyntaxError> {
        if self.depth >= MAX_DEPTH {
            return Err(unexpected(byte, "exceeded max depth"));
        }
        self.depth = self.depth.saturating_add(1);
        self.step();
        Ok(())
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.step();
    }

    fn byte(&self) -> Result<u8, SyntaxError> {
        self.bytes.get(self.at).copied().ok_or(SyntaxError::Eof)
    }

    /// Reads a string and returns its inside as written.
    fn string(&mut self) -> Result<&'a [u8], SyntaxError> {
        self.step();
        let start = self.at;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let stop = memchr2(b'"', b'\\', rest);
            let plain = stop.map_or(rest, |stop| rest.get(..stop).unwrap_or(rest));
            // Branch-free over the usual clean text, exact only when something is there.
            if plain.iter().fold(u8::MAX, |low, byte| low.min(*byte)) < 0x20 {
                let control = plain.iter().copied().find(|byte| *byte < 0x20);
                return Err(unexpected(control.unwrap_or(0), "in string literal"));
            }
            self.at = self
                .at
                .saturating_add(stop.ok_or(SyntaxError::Eof)?)
                .saturating_add(1);
            if rest.get(stop.unwrap_or_default()) == Some(&b'"') {
                let end = self.at.saturating_sub(1);
                return Ok(self.bytes.get(start..end).unwrap_or_default());
            }
            self.escape()?;
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        let byte = self.byte()?;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.step(),
            b'u' => {
                self.step();
                for _ in 0..4 {
                    let digit = self.byte()?;
                    if !digit.is_ascii_hexdigit() {
                        return Err(unexpected(digit, r"in \u hexadecimal character escape"));
                    }
                    self.step();
                }
            }
            _ => return Err(unexpected(byte, "in string escape code")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.byte()? == b'-' {
            self.step();
        }
        match self.byte()? {
            b'0' => self.step(),
            b'1'..=b'9' => self.digits(),
            byte => return Err(unexpected(byte, "in numeric literal")),
        }
        if self.byte() == Ok(b'.') {
            self.step();
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.byte(), Ok(b'e' | b'E')) {
            self.step();
            if matches!(self.byte()?, b'+' | b'-') {
                self.step();
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn some_digits(&mut self, context: &'static str) -> Result<(), SyntaxError> {
        let byte = self.byte()?;
        if !byte.is_ascii_digit() {
            return Err(unexpected(byte, context));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.byte().is_ok_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<(), SyntaxError> {
        for expected in word.bytes() {
            let byte = self.byte()?;
            if byte != expected {
                return Err(unexpected(byte, literal_context(word, expected)));
            }
            self.step();
        }
        Ok(())
    }
}

fn unexpected(byte: u8, context: &'static str) -> SyntaxError {
    SyntaxError::Byte { byte, context }
}

/// Cuts the quotes off a string.
fn inside(raw: &[u8]) -> &[u8] {
    raw.strip_prefix(b"\"")
        .and_then(|raw| raw.strip_suffix(b"\""))
        .unwrap_or_default()
}

fn literal_context(word: &str, expected: u8) -> &'static str {
    match (word, expected) {
        ("true", b'r') => "in literal true (expecting 'r')",
        ("true", b'u') => "in literal true (expecting 'u')",
        ("true", _) => "in literal true (expecting 'e')",
        ("false", b'a') => "in literal false (expecting 'a')",
        ("false", b'l') => "in literal false (expecting 'l')",
        ("false", b's') => "in literal false (expecting 's')",
        ("false", _) => "in literal false (expecting 'e')",
        (_, b'u') => "in literal null (expecting 'u')",
        (_, _) => "in literal null (expecting 'l')",
    }
}
