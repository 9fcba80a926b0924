//! Embeddings.

use super::Row;
use crate::parity::case::Case;

pub(super) const CASES: &[Row] = &[
    ("POST /api/embed", r#"{"model":"fakeE","input":"one"}"#),
    (
        "POST /api/embed",
        r#"{"model":"fakeE","input":["one","two","three"]}"#,
    ),
    (
        "POST /api/embed",
        r#"{"model":"FAKEE:latest","input":"one"}"#,
    ),
    ("POST /api/embed", r#"{"model":"fakeE","input":""}"#),
    ("POST /api/embed", r#"{"model":"fakeE","input":null}"#),
    (
        "POST /api/embed",
        r#"{"model":"fakeE","input":"one","dimensions":2}"#,
    ),
    (
        "POST /api/embed",
        r#"{"model":"fakeE","input":"one","truncate":false,"keep_alive":"5m","options":{"num_ctx":128}}"#,
    ),
    (
        "POST /api/embed",
        r#"{"model":"fakeA","input":"a chat model embeds too"}"#,
    ),
    (
        "POST /api/embed",
        r#"{"MODEL":"fakeE","Input":"any case"} garbage"#,
    ),
    ("POST /api/embed", r#"{"model":"fakeE","input":7}"#),
    ("POST /api/embed", r#"{"model":"fakeE","input":{"a":1}}"#),
    (
        "POST /api/embed",
        r#"{"model":"fakeE","input":"x","keep_alive":"5"}"#,
    ),
    (
        "POST /api/embed",
        r#"{"model":"fakeE","input":"x","options":{"num_ctx":"x"}}"#,
    ),
    ("POST /api/embed", "[]"),
    ("POST /api/embed", "null"),
    (
        "POST /api/embeddings",
        r#"{"model":"fakeE","prompt":"one two"}"#,
    ),
    ("POST /api/embeddings", r#"{"model":"fakeE","prompt":""}"#),
    ("POST /api/embeddings", r#"{"model":"fakeE","prompt":7}"#),
    (
        "POST /api/embeddings",
        r#"{"model":"fakeE","prompt":"x","keep_alive":true}"#,
    ),
    ("POST /v1/embeddings", r#"{"model":"fakeE","input":"one"}"#),
    (
        "POST /v1/embeddings",
        r#"{"model":"fakeE","input":["one","two"],"encoding_format":"base64"}"#,
    ),
    (
        "POST /v1/embeddings",
        r#"{"model":"fakeE","input":["one"],"dimensions":2,"encoding_format":"float"}"#,
    ),
    (
        "POST /v1/embeddings",
        r#"{"model":"fakeE","input":"one","encoding_format":"hex"}"#,
    ),
    ("POST /v1/embeddings", r#"{"model":"fakeE","input":[]}"#),
    ("POST /v1/embeddings", r#"{"model":"fakeE","input":[1,2]}"#),
    ("POST /v1/embeddings", r#"{"model":"","input":"x"}"#),
];

/// Bodies whose length the caller does not say.
pub(super) fn in_chunks() -> Vec<Case> {
    let routes = [
        ("/api/embed", r#"{"model":"fakeE","input":"one"}"#),
        ("/api/show", r#"{"model":"fakeA"}"#),
        (
            "/api/chat",
            r#"{"model":"fakeA","messages":[{"role":"user","content":"in chunks"}]}"#,
        ),
        (
            "/v1/messages",
            r#"{"model":"fakeA","max_tokens":3,"messages":[{"role":"user","content":"in chunks"}]}"#,
        ),
    ];
    let cases = routes.iter().map(|(path, body)| {
        let (one, two) = body.split_at(9);
        let chunks = [one, two].map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
        let sent = format!("{}0\r\n\r\n", chunks.concat());
        let head = format!("POST {path}\nTransfer-Encoding: chunked");
        Case::new(&head, sent.as_bytes())
    });
    cases.collect()
}

/// Bodies nested as deep as Go reads them, counted with the object around.
pub(super) fn nested() -> Vec<Case> {
    let lists = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let objects = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
    let paths = ["/api/chat", "/v1/chat/completions", "/api/show"];
    let values = [lists(9_999), objects(9_999), lists(500)];
    let all = paths.iter().flat_map(|path| {
        values.iter().map(move |value| {
            let body = format!(
                r#"{{"model":"fakeA","x":{value},"messages":[{{"role":"user","content":"deep"}}]}}"#
            );
            Case::new(&format!("POST {path}"), body.as_bytes())
        })
    });
    all.collect()
}
