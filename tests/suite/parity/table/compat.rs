//! The routes that speak the APIs of others.

use super::Row;

pub(super) const CASES: &[Row] = &[
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"one two"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","stream":true,"messages":[{"role":"user","content":"one two"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","stream":null,"messages":[{"role":"user","content":"one two"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","messages":[{"role":"user","content":[{"type":"text","text":"parts"}]}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"MODEL":"fakeA","Messages":[{"Role":"user","Content":"any case"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","max_tokens":1,"temperature":0,"n":3,"user":"u","keep_alive":0,"messages":[{"role":"user","content":"one two three"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"x"}]} garbage"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","stream":true,"messages":[{"role":"user","content":"stub:toolcall go"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeT","stream":true,"messages":[{"role":"user","content":"think"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeT","messages":[{"role":"user","content":"think"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeE","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA:cloud","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"stub:error500"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","messages":[{"role":"user","content":"stub:error-mid stub:tokens=5"}]}"#,
    ),
    (
        "POST /v1/chat/completions",
        r#"{"model":"fakeA","stream":true,"messages":[{"role":"user","content":"stub:crash0"}]}"#,
    ),
    (
        "POST /v1/completions",
        r#"{"model":"fakeA","prompt":"one two"}"#,
    ),
    (
        "POST /v1/completions",
        r#"{"model":"fakeA","prompt":"one two","stream":true,"stream_options":{"include_usage":true}}"#,
    ),
    (
        "POST /v1/completions",
        r#"{"model":"fakeA","prompt":"one two three","max_tokens":1}"#,
    ),
    (
        "POST /v1/completions",
        r#"{"model":"fakeA","prompt":"x","suffix":"y"}"#,
    ),
    (
        "POST /v1/completions",
        r#"{"model":"fakeA","prompt":"stub:error400"}"#,
    ),
    (
        "POST /v1/completions",
        r#"{"model":"fakeA","prompt":"stub:error-mid stub:tokens=5","stream":true}"#,
    ),
    (
        "POST /v1/responses",
        r#"{"model":"fakeA","input":"one two"}"#,
    ),
    (
        "POST /v1/responses",
        r#"{"model":"fakeA","stream":true,"input":[{"role":"user","content":"one two"}]}"#,
    ),
    (
        "POST /v1/responses",
        r#"{"model":"fakeA","instructions":"be brief","input":"one"}"#,
    ),
    ("POST /v1/responses", r#"{"model":"fakeT","input":"think"}"#),
    (
        "POST /v1/responses",
        r#"{"model":"fakeA","input":"stub:error400"}"#,
    ),
    (
        "POST /v1/responses",
        r#"{"model":"fakeA","stream":true,"input":"stub:error400"}"#,
    ),
    (
        "POST /v1/messages",
        r#"{"model":"fakeA","max_tokens":9,"messages":[{"role":"user","content":"one two"}]}"#,
    ),
    (
        "POST /v1/messages\nx-api-key: k\nanthropic-version: 2023-06-01",
        r#"{"model":"fakeA","max_tokens":9,"stream":true,"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"one two"}]}]}"#,
    ),
    (
        "POST /v1/messages",
        r#"{"model":"fakeA","max_tokens":1,"messages":[{"role":"user","content":"one two three"}]}"#,
    ),
    (
        "POST /v1/messages",
        r#"{"model":"fakeA","max_tokens":9,"thinking":{"type":"enabled","budget_tokens":1},"messages":[{"role":"user","content":"a thought that is dropped"}]}"#,
    ),
    (
        "POST /v1/messages",
        r#"{"model":"fakeT","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"think"}]}"#,
    ),
    (
        "POST /v1/messages",
        r#"{"model":"fakeA","max_tokens":9,"messages":[{"role":"user","content":"stub:error500"}]}"#,
    ),
    (
        "POST /v1/messages",
        r#"{"model":"fakeA","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"stub:crash0"}]}"#,
    ),
    (
        "POST /v1/messages",
        r#"{"model":"nope","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "POST /v1/audio/transcriptions\nContent-Type: multipart/form-data; boundary=b",
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nfakeA\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n",
    ),
    (
        "POST /v1/audio/transcriptions\nContent-Type: multipart/form-data; boundary=b",
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nnope\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n",
    ),
    (
        "POST /v1/audio/transcriptions\nContent-Type: multipart/form-data; boundary=b",
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nfakeA\r\n--b\r\nContent-Disposition: form-data; name=\"response_format\"\r\n\r\ntext\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n",
    ),
    ("GET /v1/models", ""),
    ("GET /v1/models/fakeA", ""),
    ("GET /v1/models/FAKEA:latest", ""),
    ("GET /v1/models/fakeA:7b", ""),
    ("GET /v1/models/a%20b", ""),
    ("GET /v1/models/nope:cloud", ""),
    ("GET /v1/models/library%2FfakeA", ""),
    ("GET /v1/models/library/fakeA", ""),
];
