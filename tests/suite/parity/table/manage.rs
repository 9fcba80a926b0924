//! What the target has: lists, showing, pulling, making, copying, deleting, blobs.

use super::Row;

pub(super) const CASES: &[Row] = &[
    ("POST /api/show", r#"{"model":"fakeA:latest"}"#),
    ("POST /api/show", r#"{"name":"FAKEA"}"#),
    ("POST /api/show", r#"{"model":"fakeT","verbose":true}"#),
    ("POST /api/show", r#"{"model":"fakeE"}"#),
    (
        "POST /api/show\nUser-Agent: GitHubCopilotChat/0.30",
        r#"{"model":"fakeA"}"#,
    ),
    ("POST /api/show", "[]"),
    ("POST /api/show", r#"{"model":7}"#),
    ("POST /api/pull", r#"{"model":"fakeA"}"#),
    ("POST /api/pull", r#"{"model":"fakeA","stream":false}"#),
    ("POST /api/pull", r#"{"name":"fakeA","stream":null}"#),
    ("POST /api/pull", ""),
    ("POST /api/pull", "{bad"),
    ("POST /api/push", r#"{"model":"fakeA","stream":false}"#),
    ("POST /api/push", "{bad"),
    (
        "POST /api/create",
        r#"{"model":"made","from":"fakeA","system":"s"}"#,
    ),
    (
        "POST /api/create",
        r#"{"model":"made","from":"fakeA","stream":false}"#,
    ),
    ("POST /api/create", r#"{"model":"made"}"#),
    ("POST /api/create", r#"{"model":"made","from":"nope"}"#),
    ("POST /api/create", "{}"),
    ("POST /api/create", ""),
    ("GET /api/tags", ""),
    ("GET /v1/models", ""),
    ("GET /v1/models/made", ""),
    (
        "POST /api/chat",
        r#"{"model":"made","messages":[{"role":"user","content":"at once"}]}"#,
    ),
    ("POST /api/show", r#"{"model":"made"}"#),
    (
        "POST /api/copy",
        r#"{"source":"made","destination":"again"}"#,
    ),
    (
        "POST /api/copy",
        r#"{"source":"made","destination":"a b c"}"#,
    ),
    ("POST /api/copy", r#"{"source":"made"}"#),
    ("POST /api/copy", "{bad"),
    ("POST /api/copy", ""),
    ("GET /api/tags", ""),
    (
        "POST /api/generate",
        r#"{"model":"again","prompt":"at once"}"#,
    ),
    ("DELETE /api/delete", r#"{"model":"again"}"#),
    ("DELETE /api/delete", r#"{"name":"made"}"#),
    ("DELETE /api/delete", r#"{"model":"made"}"#),
    ("DELETE /api/delete", "{bad"),
    ("DELETE /api/delete", "[]"),
    ("GET /api/tags", ""),
    (
        "POST /api/chat",
        r#"{"model":"again","messages":[{"role":"user","content":"gone"}]}"#,
    ),
    (
        "HEAD /api/blobs/sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "",
    ),
    (
        "POST /api/blobs/sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "x",
    ),
    (
        "POST /api/blobs/sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "x",
    ),
    (
        "HEAD /api/blobs/sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "",
    ),
    (
        "GET /api/blobs/sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "",
    ),
    ("POST /api/blobs/nonsense", "x"),
    ("POST /api/me", ""),
    (
        "POST /api/experimental/web_search\nAuthorization: Bearer k",
        r#"{"query":"x"}"#,
    ),
    (
        "POST /api/experimental/web_fetch",
        r#"{"url":"http://x.example"}"#,
    ),
    ("GET /api/experimental/model-recommendations", ""),
    ("GET /api/status", ""),
    ("GET /api/version", ""),
    ("HEAD /api/version", ""),
    ("HEAD /api/tags", ""),
    ("HEAD /", ""),
    ("GET /", ""),
];
