//! One hostile request, what it may be answered, and the table of all.

use std::fmt::Write;

use foreman_tests::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A hostile request.
#[derive(Debug, Clone)]
pub(super) struct Attack {
    name: &'static str,
    bytes: Vec<u8>,
    expected: Vec<u16>,
    /// What must not be in the answer.
    forbidden: Option<&'static str>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    name: &'static str,
    sent: usize,
    expected: Vec<u16>,
    /// The statuses of the answers; none where the connection was closed without.
    statuses: Vec<u16>,
    answer: String,
    is_clean: bool,
}

/// The connection is closed without an answer.
pub(super) const CLOSED: u16 = 0;

impl Attack {
    /// Makes an attack that is answered with one of some statuses, and once.
    pub(super) fn new(name: &'static str, bytes: impl Into<Vec<u8>>, expected: &[u16]) -> Self {
        Self {
            name,
            bytes: bytes.into(),
            expected: expected.to_vec(),
            forbidden: None,
        }
    }

    /// Makes an attack by a body.
    pub(super) fn post(
        name: &'static str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        expected: u16,
    ) -> Self {
        let bytes = foreman_tests::request("POST", path, headers, body);
        Self::new(name, bytes, &[expected])
    }

    /// Makes an attack by a path.
    pub(super) fn get(name: &'static str, path: &str, expected: u16) -> Self {
        let bytes = foreman_tests::request("GET", path, &[], b"");
        Self::new(name, bytes, &[expected])
    }

    /// Says what must not be in the answer.
    pub(super) fn without(mut self, forbidden: &'static str) -> Self {
        self.forbidden = Some(forbidden);
        self
    }

    /// Sends it, stops sending, and reads until the connection is closed.
    ///
    /// What leaves with half a request gets no answer, so the sending half stays open until there
    /// is one.
    pub(super) async fn run(self, url: &str) -> Outcome {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let bytes = self.bytes.clone();
        // The answer may come before everything is taken.
        let sending = async move {
            let _sent = writer.write_all(&bytes).await;
            writer
        };
        let reading = async {
            let mut answer = Vec::new();
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = reader.read(&mut buffer).await {
                answer.extend_from_slice(&buffer[..read]);
                if is_whole(&answer) {
                    break;
                }
            }
            answer
        };
        let both = async { tokio::join!(sending, reading) };
        let (writer, answer) = within(self.name, both).await;
        drop(writer);
        self.outcome(&answer)
    }

    fn outcome(self, answer: &[u8]) -> Outcome {
        let answer = String::from_utf8_lossy(answer).into_owned();
        let heads = answer.match_indices("HTTP/1.").filter_map(|(at, _)| {
            let rest = answer.get(at + 9..at + 12)?;
            rest.parse().ok()
        });
        let statuses: Vec<u16> = heads.filter(|status| *status != 100).collect();
        let is_clean = self.forbidden.is_none_or(|it| !answer.contains(it));
        Outcome {
            name: self.name,
            sent: self.bytes.len(),
            expected: self.expected,
            statuses,
            answer: answer.chars().take(300).collect(),
            is_clean,
        }
    }
}

impl Outcome {
    pub(super) fn is_expected(&self) -> bool {
        let is_right = match self.statuses.as_slice() {
            [] => self.expected.contains(&CLOSED),
            [status] => self.expected.contains(status),
            _ => false,
        };
        is_right && self.is_clean
    }
}

/// Tells whether a whole answer with a length has come.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    if head.starts_with("HTTP/1.1 100") {
        return false;
    }
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse::<usize>().ok());
    // What closes by itself is read to its end: another answer might follow.
    !head.contains("connection: close") && length.is_some_and(|length| body.len() >= length)
}

/// Writes what came of all, a line each.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for (number, it) in (1..).zip(outcomes) {
        let got = match it.statuses.as_slice() {
            [] => "closed".to_owned(),
            [status] => status.to_string(),
            many => format!("{many:?}"),
        };
        let verdict = if it.is_expected() { "ok" } else { "WRONG" };
        let expected = if it.is_expected() {
            String::new()
        } else {
            format!("expected {:?}, got {:?}", it.expected, it.answer)
        };
        let (name, sent) = (it.name, it.sent);
        let line = format!("{number:>3}  {name:<60} {sent:>8} B  {got:<7} {verdict} {expected}");
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}
