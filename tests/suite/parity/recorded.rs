//! What a real server said, and that the stub says the same.

use std::net::{Ipv4Addr, SocketAddr};

use foreman_stub::Stub;

use super::case::Case;
use super::differences::{RECORDED, check};
use super::mask::mask_with;
use super::seen::{Seen, What};
use super::target;

/// In the order in which the server was asked, since some answers depend on what is loaded.
const FILES: [&str; 6] = [
    include_str!("recorded/native.txt"),
    include_str!("recorded/management.txt"),
    include_str!("recorded/errors.txt"),
    include_str!("recorded/compat.txt"),
    include_str!("recorded/validation.txt"),
    include_str!("recorded/thinking.txt"),
];
/// Headers that the recorded answers list when they have them.
const LISTED: [&str; 5] = ["content-type", "allow", "location", "vary", "cache-control"];
/// How many tokens a prompt has depends on the model.
const COUNTS: [&str; 4] = [
    "prompt_eval_count",
    "prompt_tokens",
    "input_tokens",
    "total_tokens",
];

/// A request and its recorded answer.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) case: Case,
    answer: Answer,
}

#[derive(Debug, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    chunks: Vec<Chunk>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Chunk {
    /// Masked.
    Text(String),
    /// Only its fields were recorded.
    Shape(String),
}

/// Reads all recorded exchanges.
///
/// `>>` begins a line of the head of a request, `>` its body; `<<` begins the status or a header of
/// the answer, `<` a chunk of its body, `<~` a chunk of which only the fields are known. A line
/// break is written as `⏎`.
pub(super) fn all() -> Vec<Recorded> {
    FILES.iter().flat_map(|file| read(file)).collect()
}

fn read(file: &str) -> impl Iterator<Item = Recorded> {
    file.split("\n\n").skip(1).map(parse)
}

fn parse(block: &str) -> Recorded {
    let (mut head, mut body) = (Vec::new(), String::new());
    let mut answer = Answer::default();
    for line in block.lines() {
        if let Some(text) = line.strip_prefix(">> ") {
            head.push(text);
        } else if let Some(text) = line.strip_prefix(">  ") {
            body = text.replace('⏎', "\n");
        } else if let Some(text) = line.strip_prefix("<< ") {
            match text.split_once(": ") {
                Some((name, value)) => answer.headers.push((name.to_owned(), value.to_owned())),
                None => answer.status = text.parse().unwrap(),
            }
        } else if let Some(text) = line.strip_prefix("<  ") {
            answer.chunks.push(Chunk::Text(text.replace('⏎', "\n")));
        } else if let Some(text) = line.strip_prefix("<~ ") {
            answer.chunks.push(Chunk::Shape(shape(text)));
        } else {
            assert!(line.is_empty(), "a line that is nothing: {line}");
        }
    }
    Recorded {
        case: Case::new(&head.join("\n"), body.as_bytes()),
        answer,
    }
}

/// Returns a JSON text without its values: what fields there are and of which type.
fn shape(text: &str) -> String {
    fn empty(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::Bool(value) => *value = false,
            serde_json::Value::Number(value) => *value = 0.into(),
            serde_json::Value::String(value) => value.clear(),
            serde_json::Value::Array(values) => {
                values.truncate(1);
                values.iter_mut().for_each(empty);
            }
            serde_json::Value::Object(fields) => fields.values_mut().for_each(empty),
        }
    }
    let mut value = serde_json::from_str(text).unwrap();
    empty(&mut value);
    value.to_string()
}

impl Answer {
    fn differences(&self, seen: &Seen) -> Vec<What> {
        let chunks = seen.chunks.iter().enumerate().map(|(n, chunk)| {
            if let Some(Chunk::Shape(_)) = self.chunks.get(n) {
                return Chunk::Shape(shape(&chunk.replace('#', "0")));
            }
            Chunk::Text(mask_with(chunk, &COUNTS))
        });
        let chunks: Vec<_> = chunks.collect();
        let listed = |name: &str| {
            LISTED.contains(&name)
                || name.starts_with("access-control")
                || self.headers.iter().any(|(it, _)| it == name)
        };
        let headers = seen.headers.iter().filter(|(name, _)| listed(name));
        let mut recorded = self.headers.clone();
        recorded.sort_by(|one, other| one.0.cmp(&other.0));
        let comparable = |headers, same| Seen {
            status: if same { self.status } else { seen.status },
            headers,
            chunks: vec![format!("{:?}", if same { &self.chunks } else { &chunks })],
            whole: seen.whole,
        };
        comparable(recorded, true).differences(&comparable(headers.cloned().collect(), false))
    }
}

async fn disagreements(stub: &Stub, recorded: Vec<Recorded>) -> Vec<(String, Vec<What>, String)> {
    let url = format!("http://127.0.0.1:{}", stub.address().port());
    let mut found = Vec::new();
    for Recorded { case, answer } in recorded {
        let seen = case.ask(&url).await;
        let what = answer.differences(&seen);
        if !what.is_empty() {
            let detail = format!("  recorded {answer:?}\n  stub\n{}", seen.shown());
            found.push((case.id(), what, detail));
        }
    }
    found
}

#[tokio::test]
async fn the_stub_answers_as_a_real_server_did() {
    // Tokens with what Go escapes, as in the recorded answers.
    let said: Vec<_> = (0..200).map(|n| format!("t{n}<b>&\u{2028}")).collect();
    let stub = target().answer(&said.concat()).start().await.unwrap();

    check(RECORDED, disagreements(&stub, all()).await);
}

#[tokio::test]
async fn a_stub_that_is_open_to_all_answers_as_a_real_server_did() {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let stub = target().allow_any_origin().listen(everywhere);
    let stub = stub.start().await.unwrap();
    let recorded = read(include_str!("recorded/anywhere.txt")).collect();

    check(&[], disagreements(&stub, recorded).await);
}
