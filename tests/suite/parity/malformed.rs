//! Requests that nobody may run: the target refuses them before a model does anything.

use super::case::Case;

/// What is wrong with any body, on each of these routes.
const ROUTES: [&str; 9] = [
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
];

/// Bodies that are no JSON, or not the JSON of an object.
const SYNTAX: &[&[u8]] = &[
    b"",
    b"   \n",
    b"{",
    b"{bad",
    b"{\"model\"",
    b"{\"model\":",
    b"{\"model\":\"fakeA\"",
    b"{\"model\":\"fakeA\",}",
    b"{\"model\":\"fake",
    b"{'model':'fakeA'}",
    b"{\"model\":nul}",
    b"{\"model\":tru}",
    b"{\"model\":01}",
    b"{\"model\":1.}",
    b"{\"model\":-}",
    b"{\"model\":1e}",
    b"{\"model\":\"a\\x\"}",
    b"{\"model\":\"a\\u12g4\"}",
    b"{\"model\":\"a\nb\"}",
    b"{\"model\":\"a\x01b\"}",
    b"{\"model\":\"fakeA\" \"x\":1}",
    b"{\"model\" \"fakeA\"}",
    b"{1:2}",
    b"[]",
    b"[{\"model\":\"fakeA\"}]",
    b"\"fakeA\"",
    b"7",
    b"true",
    b"null",
    b"{}",
    b"<html>",
    b"model=fakeA",
    b"\xef\xbb\xbf{\"model\":\"fakeA\"}",
    b"\xff\xfe{\0}\0",
    b"\x1f\x8b\x08\0\0\0\0\0",
    b"// c\n{}",
];

/// Models that are no models.
const MODELS: &[&str] = &[
    "null",
    "\"\"",
    "\" \"",
    "7",
    "true",
    "[]",
    "{}",
    "[\"fakeA\"]",
    "\"nope\"",
    "\"a b c\"",
    "\"fakeA:\"",
    "\":latest\"",
    "\"-fakeA\"",
    "\"fakeA:la test\"",
    "\"a/b/c/d\"",
    "\"//fakeA\"",
    "\"fakeA:local:cloud\"",
    "\"fakeA:cloud\"",
    "\"fake\\u0000A\"",
    "\"f\\u00e4keA\"",
    "\"../fakeA\"",
];

/// Fields of a chat or a completion that cannot be.
const FIELDS: &[&str] = &[
    r#""stream":"x""#,
    r#""stream":1"#,
    r#""stream":{}"#,
    r#""STREAM":"x""#,
    r#""keep_alive":"5""#,
    r#""keep_alive":"-1""#,
    r#""keep_alive":"""#,
    r#""keep_alive":"abc""#,
    r#""keep_alive":"5x""#,
    r#""keep_alive":"5 m""#,
    r#""keep_alive":"1h-5m""#,
    r#""keep_alive":true"#,
    r#""keep_alive":[]"#,
    r#""keep_alive":{}"#,
    r#""Keep_Alive":"5""#,
    r#""keep_alive":"5m","keep_alive":"5""#,
    r#""think":true"#,
    r#""think":"low""#,
    r#""think":"xx""#,
    r#""think":"""#,
    r#""think":1"#,
    r#""think":[]"#,
    r#""think":{}"#,
    r#""format":"xml""#,
    r#""format":[1]"#,
    r#""format":true"#,
    r#""format":7"#,
    r#""format":"{}""#,
    r#""options":[]"#,
    r#""options":"x""#,
    r#""options":7"#,
    r#""options":{"num_ctx":"x"}"#,
    r#""options":{"num_ctx":true}"#,
    r#""options":{"num_ctx":[]}"#,
    r#""options":{"temperature":"x"}"#,
    r#""options":{"seed":{}}"#,
    r#""options":{"stop":"x"}"#,
    r#""options":{"stop":[1]}"#,
    r#""options":{"use_mmap":1}"#,
    r#""options":{"num_gpu":"all"}"#,
    r#""top_logprobs":21"#,
    r#""top_logprobs":-1"#,
    r#""top_logprobs":"2""#,
    r#""top_logprobs":1.5"#,
    r#""logprobs":"x""#,
    r#""truncate":7"#,
    r#""shift":"no""#,
];

/// Two things wrong at once: which is found first.
const TWICE: &[(&str, &str)] = &[
    ("fakeA", r#""think":true,"format":"xml""#),
    ("fakeA", r#""think":"low","options":{"num_ctx":"x"}"#),
    ("fakeA", r#""think":"xx","format":"xml""#),
    ("fakeA", r#""stream":"x","think":"xx""#),
    ("fakeA", r#""think":"xx","stream":"x""#),
    ("fakeA", r#""keep_alive":"5","think":"xx""#),
    ("fakeA", r#""format":"xml","options":{"num_ctx":"x"}"#),
    ("fakeA", r#""top_logprobs":21,"format":"xml""#),
    ("fakeE", r#""think":true"#),
    ("fakeE", r#""think":true,"options":{"seed":"x"}"#),
    (
        "fakeB",
        r#""tools":[{"type":"function","function":{"name":"f"}}],"think":true"#,
    ),
    ("nope", r#""think":true,"format":"xml""#),
];

/// Messages of a chat that cannot be.
const MESSAGES: &[&str] = &[
    r#""x""#,
    "7",
    "{}",
    r#"["x"]"#,
    "[7]",
    "[[]]",
    r#"[{"role":7,"content":"x"}]"#,
    r#"[{"role":"user","content":7}]"#,
    r#"[{"role":"user","content":{}}]"#,
    r#"[{"role":"user","content":[{"type":"text","text":"x"}]}]"#,
    r#"[{"role":"user","content":"x","images":"x"}]"#,
    r#"[{"role":"user","content":"x","images":["!!!"]}]"#,
    r#"[{"role":"user","content":"x","images":[7]}]"#,
    r#"[{"role":"user","content":"x","tool_calls":"x"}]"#,
];

/// Others, whole.
const OTHERS: &[(&str, &str)] = &[
    (
        "/api/chat",
        r#"{"model":"fakeE","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/api/chat",
        r#"{"model":"fakeB","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
    ),
    (
        "/api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x"}],"tools":"x"}"#,
    ),
    (
        "/api/chat",
        r#"{"model":"fakeB","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],"format":"xml"}"#,
    ),
    (
        "/api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x"}],"tools":["x"]}"#,
    ),
    (
        "/api/chat",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x","tool_calls":[7]}]}"#,
    ),
    ("/api/generate", r#"{"model":"fakeE","prompt":"x"}"#),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","suffix":"y","options":{"seed":"x"}}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","suffix":"y","format":"xml"}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","context":["x"]}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","context":[1.5]}"#,
    ),
    (
        "/api/embed",
        r#"{"model":"fakeE","input":"x","truncate":"x"}"#,
    ),
    (
        "/v1/embeddings",
        r#"{"model":"fakeE","input":"x","encoding_format":"hex"}"#,
    ),
    (
        "/v1/chat/completions",
        r#"{"model":"fakeA","temperature":"x","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/v1/chat/completions",
        r#"{"model":"fakeA","seed":1.5,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/v1/chat/completions",
        r#"{"model":"fakeA","reasoning_effort":"x","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/v1/completions",
        r#"{"model":"fakeA","prompt":"x","top_p":"x"}"#,
    ),
    (
        "/v1/completions",
        r#"{"model":"fakeA","prompt":"x","stop":[7]}"#,
    ),
    (
        "/v1/responses",
        r#"{"model":"fakeA","input":"x","temperature":"x"}"#,
    ),
    (
        "/v1/responses",
        r#"{"model":"fakeA","input":"x","include":[7]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"fakeA","max_tokens":9,"top_k":"x","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"fakeA","max_tokens":9,"stop_sequences":"x","messages":[{"role":"user","content":"x"}]}"#,
    ),
    ("/api/generate", r#"{"model":"fakeA","prompt":7}"#),
    ("/api/generate", r#"{"model":"fakeA","prompt":["x"]}"#),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","suffix":"y"}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","suffix":7}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","raw":"x"}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","raw":true,"system":"y"}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","raw":true,"template":"y"}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","raw":true,"context":[1]}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","context":"x"}"#,
    ),
    (
        "/api/generate",
        r#"{"model":"fakeA","prompt":"x","images":["!!!"]}"#,
    ),
    ("/api/embed", r#"{"model":"fakeE","input":[1]}"#),
    ("/api/embed", r#"{"model":"fakeE","input":7}"#),
    (
        "/api/embed",
        r#"{"model":"fakeE","input":"x","keep_alive":"5"}"#,
    ),
    (
        "/api/embed",
        r#"{"model":"fakeE","input":"x","dimensions":"x"}"#,
    ),
    ("/api/embeddings", r#"{"model":"fakeE","prompt":7}"#),
    ("/v1/chat/completions", r#"{"model":"fakeA","messages":[]}"#),
    (
        "/v1/chat/completions",
        r#"{"model":"fakeA","messages":"x"}"#,
    ),
    (
        "/v1/chat/completions",
        r#"{"model":"fakeA","messages":[{"role":"user","content":7}]}"#,
    ),
    (
        "/v1/chat/completions",
        r#"{"model":"fakeA","stream":"x","messages":[{"role":"user","content":"x"}]}"#,
    ),
    ("/v1/completions", r#"{"model":"fakeA","prompt":["x"]}"#),
    (
        "/v1/completions",
        r#"{"model":"fakeA","prompt":"x","stream":"x"}"#,
    ),
    ("/v1/embeddings", r#"{"model":"fakeE","input":7}"#),
    ("/v1/responses", r#"{"model":"fakeA","input":7}"#),
    (
        "/v1/responses",
        r#"{"model":"fakeA","input":"x","stream":"x"}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"fakeA","max_tokens":0,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"fakeA","max_tokens":-5,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"fakeA","max_tokens":"9","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"fakeA","max_tokens":9,"messages":[]}"#,
    ),
    (
        "/v1/messages",
        r#"{"model":"fakeA","max_tokens":9,"messages":"x"}"#,
    ),
    ("/v1/messages", r#"{"model":"fakeA","max_tokens":9}"#),
    ("/v1/audio/transcriptions", r#"{"model":"fakeA"}"#),
];

pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |path: &str, body: &[u8]| cases.push(Case::new(&format!("POST {path}"), body));
    for path in ROUTES {
        for body in SYNTAX {
            add(path, body);
        }
        for model in MODELS {
            add(path, of_model(model).as_bytes());
        }
        add(path, deep(10_001).as_bytes());
    }
    for field in FIELDS {
        let chat = format!(
            r#"{{"model":"fakeA","stream":false,"messages":[{{"role":"user","content":"x"}}],{field}}}"#
        );
        add("/api/chat", chat.as_bytes());
        let generate = format!(r#"{{"model":"fakeA","prompt":"x",{field}}}"#);
        add("/api/generate", generate.as_bytes());
    }
    for (model, fields) in TWICE {
        let chat = format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"x"}}],{fields}}}"#
        );
        add("/api/chat", chat.as_bytes());
        let generate = format!(r#"{{"model":"{model}","prompt":"x",{fields}}}"#);
        if !fields.contains("tools") {
            add("/api/generate", generate.as_bytes());
        }
    }
    for messages in MESSAGES {
        let chat = format!(r#"{{"model":"fakeA","messages":{messages}}}"#);
        add("/api/chat", chat.as_bytes());
    }
    for (path, body) in OTHERS {
        add(path, body.as_bytes());
    }
    cases
}

/// A body that every route takes, for a model.
fn of_model(model: &str) -> String {
    format!(
        r#"{{"model":{model},"max_tokens":5,"input":"x","prompt":"x","messages":[{{"role":"user","content":"x"}}]}}"#
    )
}

/// Lists in lists, deeper than Go reads.
fn deep(levels: usize) -> String {
    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
    format!(r#"{{"model":"fakeA","x":{open}{close}}}"#)
}
