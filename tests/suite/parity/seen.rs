//! An answer, made comparable.

use foreman_tests::Head;

use super::mask::mask;

/// Headers that concern the connection, or that differ by the clock.
const IGNORED: [&str; 5] = [
    "date",
    "connection",
    "content-length",
    "transfer-encoding",
    "keep-alive",
];

/// What can differ between two answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The status.
    Status,
    /// A header of this name.
    Header(String),
    /// The body, or where its chunks end.
    Body,
    /// Whether the body ended as it should.
    Ending,
}

impl What {
    /// Returns the name in the lists of differences.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Status => "status",
            Self::Header(name) => name,
            Self::Body => "body",
            Self::Ending => "ending",
        }
    }
}

/// What a caller sees of an answer, without what no two answers have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// In order of their names.
    pub(super) headers: Vec<(String, String)>,
    pub(super) chunks: Vec<String>,
    pub(super) whole: bool,
}

impl Seen {
    pub(super) fn new(method: &str, head: &Head, chunks: Vec<Vec<u8>>, whole: bool) -> Self {
        let kept = |name: &str| {
            let length_of_nothing = method == "HEAD" && name == "content-length";
            length_of_nothing || !IGNORED.contains(&name) && !name.starts_with("x-foreman-")
        };
        let mut headers: Vec<_> = head
            .headers
            .iter()
            .filter(|(name, _)| kept(name))
            .cloned()
            .collect();
        headers.sort_by(|one, other| one.0.cmp(&other.0));
        let text = |chunk: Vec<u8>| mask(&String::from_utf8_lossy(&chunk));
        let in_pieces = head.header("content-type").is_some_and(|kind| {
            kind.starts_with("application/x-ndjson") || kind.starts_with("text/event-stream")
        });
        // The pieces of one whole body mean nothing: they depend on its size.
        let chunks = if in_pieces || chunks.is_empty() {
            chunks
        } else {
            vec![chunks.concat()]
        };
        Self {
            status: head.status,
            headers,
            chunks: chunks.into_iter().map(text).collect(),
            whole,
        }
    }

    /// Returns what is different, in order.
    pub(super) fn differences(&self, other: &Self) -> Vec<What> {
        let mut found = Vec::new();
        if self.status != other.status {
            found.push(What::Status);
        }
        let names = self.headers.iter().chain(&other.headers);
        let mut names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if self.values(name) != other.values(name) {
                found.push(What::Header(name.to_owned()));
            }
        }
        if self.chunks != other.chunks {
            found.push(What::Body);
        }
        if self.whole != other.whole {
            found.push(What::Ending);
        }
        found
    }

    /// Returns the answer as a few short lines.
    pub(super) fn shown(&self) -> String {
        let mut lines = vec![self.status.to_string()];
        let headers = self.headers.iter();
        lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
        let chunks = self.chunks.iter().take(8);
        lines.extend(chunks.map(|chunk| format!("{:?}", shortened(chunk))));
        lines.push(format!(
            "{} chunks, whole: {}",
            self.chunks.len(),
            self.whole
        ));
        format!("    {}", lines.join("\n    "))
    }

    fn values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(it, _)| it == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}
