//! As little of HTTP/1.1 as a load needs, so that the client is not what is measured.

use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Digits of the number that tells requests apart.
const DIGITS: usize = 10;

/// A request whose bytes are ready, but for a number that tells it apart.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the number goes.
    places: Vec<usize>,
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// What has come and is not used up.
    buffer: Vec<u8>,
    used: usize,
    body: Vec<u8>,
}

/// An answer as it was read.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// The head of an answer.
#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    body: Body,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Length(usize),
    Chunked,
}

impl Template {
    /// Makes a request; `{n}` in its body becomes the number.
    pub(crate) fn new(method: &str, path: &str, body: &str) -> Self {
        let zeros = "0".repeat(DIGITS);
        let length = body.replace("{n}", &zeros).len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let mut bytes = head.into_bytes();
        let mut places = Vec::new();
        let mut parts = body.split("{n}").peekable();
        while let Some(part) = parts.next() {
            bytes.extend_from_slice(part.as_bytes());
            if parts.peek().is_some() {
                places.push(bytes.len());
                bytes.extend_from_slice(zeros.as_bytes());
            }
        }
        Self { bytes, places }
    }

    /// Puts a number in, and returns the bytes.
    pub(crate) fn with(&mut self, number: u64) -> &[u8] {
        let digits = digits(number);
        for place in &self.places {
            let end = place + DIGITS;
            let to = self.bytes.get_mut(*place..end).expect("a place");
            to.copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }
}

/// Writes a number as templates do.
pub(crate) fn digits(number: u64) -> String {
    format!("{number:0DIGITS$}")
}

/// Tells whether bytes are within others.
pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(hay, needle).is_some()
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("set nodelay");
        Self {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
            used: 0,
            body: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("send a request");
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn ask(&mut self, bytes: &[u8]) -> Answer<'_> {
        self.send(bytes).await;
        self.answer(|_, _| {}).await
    }

    /// Sends a request without a body and reads the answer.
    pub(crate) async fn get(&mut self, path: &str) -> Answer<'_> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.ask(request.as_bytes()).await
    }

    /// Reads an answer; each chunk of its body is shown when it comes.
    pub(crate) async fn answer(&mut self, mut seen: impl FnMut(Instant, &[u8])) -> Answer<'_> {
        let head = self.head().await;
        self.body.clear();
        match head.body {
            Body::Length(length) => {
                let place = self.exactly(length).await;
                let body = self.buffer.get(place).expect("a body");
                seen(Instant::now(), body);
                self.body.extend_from_slice(body);
            }
            Body::Chunked => self.chunks(&mut seen).await,
        }
        Answer {
            status: head.status,
            body: &self.body,
        }
    }

    async fn chunks(&mut self, seen: &mut impl FnMut(Instant, &[u8])) {
        loop {
            let line = self.until(b"\r\n").await;
            let text = std::str::from_utf8(line).expect("a size").trim_end();
            let size = usize::from_str_radix(text, 16).expect("a size");
            let place = self.exactly(size + 2).await;
            if size == 0 {
                return;
            }
            let chunk = self.buffer.get(place.start..place.start + size);
            let chunk = chunk.expect("a chunk");
            seen(Instant::now(), chunk);
            self.body.extend_from_slice(chunk);
        }
    }

    async fn head(&mut self) -> Head {
        loop {
            let head = parse(self.until(b"\r\n\r\n").await);
            // Interim responses are passed over.
            if head.status >= 200 {
                return head;
            }
        }
    }

    /// Uses up what comes up to an end.
    async fn until(&mut self, end: &[u8]) -> &[u8] {
        let mut looked = self.used;
        loop {
            let fresh = self.buffer.get(looked..).expect("a place");
            if let Some(at) = fresh.windows(end.len()).position(|part| part == end) {
                let from = self.used;
                self.used = looked + at + end.len();
                return self.buffer.get(from..self.used).expect("a place");
            }
            looked = looked.max(self.buffer.len().saturating_sub(end.len()));
            looked -= self.read().await.min(looked);
            looked = looked.max(self.used);
        }
    }

    /// Uses up so many bytes.
    async fn exactly(&mut self, length: usize) -> Range<usize> {
        while self.buffer.len() - self.used < length {
            self.read().await;
        }
        let from = self.used;
        self.used += length;
        from..self.used
    }

    /// Reads more; returns by how much everything has moved towards the beginning.
    async fn read(&mut self) -> usize {
        let moved = self.used;
        self.buffer.drain(..moved);
        self.used = 0;
        self.buffer.reserve(16 * 1024);
        let read = self.stream.read_buf(&mut self.buffer).await;
        let read = read.expect("read an answer");
        assert!(read > 0, "the connection was closed within an answer");
        moved
    }
}

fn parse(head: &[u8]) -> Head {
    let text = std::str::from_utf8(head).expect("a head of text");
    let mut lines = text.split("\r\n");
    let first = lines.next().expect("a status line");
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.expect("a status");
    let mut body = Body::Length(0);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            body = Body::Length(value.trim().parse().expect("a length"));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked;
        }
    }
    Head { status, body }
}
