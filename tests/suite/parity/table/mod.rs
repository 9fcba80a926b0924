//! Requests by subject: right, odd and wrong ones.

mod compat;
mod direct;
mod manage;
mod native;
mod surface;

use super::case::Case;

/// A request: its head, and its body.
type Row = (&'static str, &'static str);

/// Every route that Ollama has.
pub(super) const ROUTES: &[&str] = &[
    "GET /",
    "HEAD /",
    "GET /api/version",
    "HEAD /api/version",
    "GET /api/status",
    "GET /api/tags",
    "HEAD /api/tags",
    "GET /api/ps",
    "POST /api/show",
    "POST /api/pull",
    "POST /api/push",
    "POST /api/create",
    "POST /api/copy",
    "DELETE /api/delete",
    "HEAD /api/blobs/sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    "POST /api/blobs/sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    "POST /api/me",
    "POST /api/experimental/web_search",
    "POST /api/experimental/web_fetch",
    "GET /api/experimental/model-recommendations",
    "POST /api/chat",
    "POST /api/generate",
    "POST /api/embed",
    "POST /api/embeddings",
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/embeddings",
    "POST /v1/responses",
    "POST /v1/messages",
    "POST /v1/audio/transcriptions",
    "GET /v1/models",
    "GET /v1/models/fakeA",
];

pub(super) fn all() -> Vec<Case> {
    let tables = [
        surface::CASES,
        native::CASES,
        compat::CASES,
        direct::CASES,
        manage::CASES,
    ];
    let rows = tables.into_iter().flatten();
    rows.map(|(head, body)| Case::new(head, body.as_bytes()))
        .chain(direct::in_chunks())
        .chain(direct::nested())
        .collect()
}
