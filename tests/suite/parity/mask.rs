//! Blots out what no two answers have in common: times, durations, made-up ids.

/// Fields whose text is a time.
const TIMES: [&str; 3] = ["created_at", "expires_at", "modified_at"];
/// Fields whose number is a time or a duration.
const NUMBERS: [&str; 5] = [
    "created",
    "created_at",
    "completed_at",
    "total_duration",
    "load_duration",
];
/// How ids begin that are made up for each answer.
const IDS: [&str; 7] = [
    "chatcmpl-",
    "cmpl-",
    "resp_",
    "msg_",
    "req_",
    "rs_",
    "call_",
];

/// Replaces what varies by a number sign.
pub(super) fn mask(text: &str) -> String {
    mask_with(text, &[])
}

/// Replaces what varies, and the numbers of these fields.
pub(super) fn mask_with(text: &str, more: &[&str]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        let (before, string) = rest.split_at(at + 1);
        masked.push_str(before);
        let end = closing(string);
        let (inner, after) = string.split_at(end);
        masked.push_str(&without_id(inner));
        rest = after;
        if let Some(after) = rest.strip_prefix("\":") {
            masked.push_str("\":");
            rest = skip_value(inner, after, more, &mut masked);
        } else if let Some(after) = rest.strip_prefix('"') {
            masked.push('"');
            rest = after;
        }
    }
    masked.push_str(rest);
    masked
}

/// Returns where a string ends.
fn closing(string: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in string.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    string.len()
}

fn without_id(inner: &str) -> String {
    let prefix = IDS.iter().find(|prefix| {
        let rest = inner.strip_prefix(**prefix);
        rest.is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    });
    prefix.map_or_else(|| inner.to_owned(), |prefix| format!("{prefix}#"))
}

/// Masks the value of a field when it varies, and returns what follows.
fn skip_value<'a>(key: &str, value: &'a str, more: &[&str], masked: &mut String) -> &'a str {
    let after = value.trim_start_matches(|c: char| c.is_ascii_digit());
    if after.len() < value.len() && (NUMBERS.contains(&key) || more.contains(&key)) {
        masked.push('#');
        return after;
    }
    match value.strip_prefix('"') {
        Some(time) if TIMES.contains(&key) && time.starts_with('2') => {
            masked.push_str("\"#\"");
            let after = time.split_at(closing(time)).1;
            after.strip_prefix('"').unwrap_or(after)
        }
        _ => value,
    }
}

#[test]
fn only_what_varies_is_masked() {
    let text = r#"{"id":"chatcmpl-17","created":12,"completed_at":null,"created_at":"2026-01-01T00:00:00Z","x":"created_at","n":5,"text":"a \"created\":1 b"}"#;

    assert_eq!(
        mask_with(text, &["n"]),
        r##"{"id":"chatcmpl-#","created":#,"completed_at":null,"created_at":"#","x":"created_at","n":#,"text":"a \"created\":1 b"}"##
    );
}
