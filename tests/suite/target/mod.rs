//! What a target may do wrong, at the wire: its answers, its statuses, its ends.

mod ends;
mod odd_bytes;
mod statuses;
mod times;

use bytes::Bytes;
use foreman_stub::{Fault, FaultRule, Stub};
use foreman_tests::{Foreman, Reply, chat};

use crate::{A, content};

/// The head of a stream of lines, and then lines as they are.
fn stream(lines: &str) -> Vec<Bytes> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n";
    vec![Bytes::from(format!("{head}{lines}"))]
}

/// Answers the next chat with these bytes.
fn answer_once(stub: &Stub, pieces: Vec<Bytes>) {
    stub.inject(FaultRule::once(Fault::Raw(pieces)).on_path("/api/chat"));
}

/// The target takes another job, and does it.
async fn goes_on(foreman: &Foreman) {
    let next = foreman.post("/api/chat", &chat(A, "next")).await;
    assert_eq!(content(&next.json()), "echo: next");
}

/// Whether the last line says that something went wrong.
fn ends_with_an_error(reply: &Reply) -> bool {
    let text = reply.text();
    let last = text.lines().last().unwrap_or_default();
    last.starts_with("{\"error\":\"")
}

/// How often chats reached the target.
fn chats(stub: &Stub) -> usize {
    stub.record().on("/api/chat").count()
}
