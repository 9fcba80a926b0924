//! Texts as Go writes and reads them.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Quotes a text as Go's `%q` does.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c, '"');
    }
    out.push('"');
    out
}

/// Quotes one byte as Go's JSON errors do.
pub(super) fn quoted_byte(byte: u8) -> String {
    let c = char::from(byte);
    if c == '"' {
        return "'\"'".to_owned();
    }
    let mut out = String::from("'");
    push_escaped(&mut out, c, '\'');
    out.push('\'');
    out
}

/// Writes a JSON string as Go's encoder does, with the characters that HTML minds escaped.
pub(super) fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                push_hex(&mut out, "\\u", u32::from(c), 4);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Writes a byte as Go's time package does in its errors.
pub(super) fn hex_byte(byte: u8) -> String {
    format!("\\x{byte:02x}")
}

/// Reads the inside of a JSON string: escapes resolved, what is no UTF-8 replaced byte by byte.
pub(super) fn unquoted(inside: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', inside).is_none()
        && let Ok(plain) = std::str::from_utf8(inside)
    {
        return plain.into();
    }
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        push_lossy(&mut out, plain);
        rest = push_escape(&mut out, escape.get(1..).unwrap_or_default());
    }
    push_lossy(&mut out, rest);
    out.into()
}

/// Appends what follows a backslash and returns the rest.
fn push_escape<'a>(out: &mut String, escape: &'a [u8]) -> &'a [u8] {
    let Some((&kind, rest)) = escape.split_first() else {
        return escape;
    };
    match kind {
        b'u' => return push_unicode(out, rest),
        b'b' => out.push('\u{8}'),
        b'f' => out.push('\u{c}'),
        b'n' => out.push('\n'),
        b'r' => out.push('\r'),
        b't' => out.push('\t'),
        other => out.push(char::from(other)),
    }
    rest
}

fn push_unicode<'a>(out: &mut String, rest: &'a [u8]) -> &'a [u8] {
    let Some((first, rest)) = hex4(rest) else {
        return rest;
    };
    if let Some(c) = char::from_u32(first) {
        out.push(c);
        return rest;
    }
    let low = rest.strip_prefix(b"\\u").and_then(hex4);
    if let (0xD800..=0xDBFF, Some((low @ 0xDC00..=0xDFFF, rest))) = (first, low) {
        let high_bits = (first & 0x3FF) << 10;
        let joined = 0x1_0000_u32.saturating_add(high_bits | (low & 0x3FF));
        out.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
        return rest;
    }
    out.push(char::REPLACEMENT_CHARACTER);
    rest
}

fn hex4(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

fn push_lossy(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

fn push_escaped(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        '\0'..='\u{1f}' | '\u{7f}' => push_hex(out, "\\x", u32::from(c), 2),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x1_0000 => push_hex(out, "\\u", u32::from(c), 4),
        c => push_hex(out, "\\U", u32::from(c), 8),
    }
}

fn push_hex(out: &mut String, prefix: &str, value: u32, width: usize) {
    // Writing to a string cannot go wrong.
    let _ = write!(out, "{prefix}{value:0width$x}");
}

fn is_printable(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fff9}'..='\u{fffb}'
    );
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a\"b\\c", r#""a\"b\\c""#)]
    #[case("\n\u{1}\u{7f}", r#""\n\x01\x7f""#)]
    #[case("ü\u{2028}\u{a0}", "\"ü\\u2028\\u00a0\"")]
    fn quoting_is_gos(#[case] text: &str, #[case] quoted_text: &str) {
        assert_eq!(quoted(text), quoted_text);
    }

    #[rstest]
    #[case(b'b', "'b'")]
    #[case(b'\'', r"'\''")]
    #[case(b'"', "'\"'")]
    #[case(0x1f, r"'\x1f'")]
    #[case(0xc3, "'Ã'")]
    fn one_byte_is_quoted_like_a_character(#[case] byte: u8, #[case] quoted_text: &str) {
        assert_eq!(quoted_byte(byte), quoted_text);
    }

    #[rstest]
    #[case(br"a\u00fc\n\/", "aü\n/")]
    #[case(br"\ud83d\ude00", "😀")]
    #[case(br"\ud83dx", "\u{fffd}x")]
    #[case(b"\xe2\x82x", "\u{fffd}\u{fffd}x")]
    fn strings_are_read_as_go_reads_them(#[case] inside: &[u8], #[case] text: &str) {
        assert_eq!(unquoted(inside), text);
    }

    #[test]
    fn json_strings_escape_what_go_escapes() {
        assert_eq!(
            json_string("<&>\u{2028}\"\u{1}ü"),
            "\"\\u003c\\u0026\\u003e\\u2028\\\"\\u0001ü\""
        );
    }
}
