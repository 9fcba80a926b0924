//! JSON text written the way the target writes it.

/// Returns the text as a JSON string, with the escapes that Ollama uses.
///
/// It escapes more than JSON asks for: some clients split lines at U+2028, some embed JSON in HTML.
pub(crate) fn string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for char in text.chars() {
        match char {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push_escape(&mut json, char),
            control if u32::from(control) < 0x20 => push_escape(&mut json, control),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

fn push_escape(json: &mut String, char: char) {
    json.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        let digit = (u32::from(char) >> shift) & 0xf;
        json.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_as_the_target_escapes_it() {
        assert_eq!(
            string("a\"b\\c\n<d>&\u{2028}\u{1}é"),
            "\"a\\\"b\\\\c\\n\\u003cd\\u003e\\u0026\\u2028\\u0001é\""
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = "tab\t nul\0 \u{1f600} \u{2029}";

        assert_eq!(serde_json::from_str::<String>(&string(text)).unwrap(), text);
    }
}
