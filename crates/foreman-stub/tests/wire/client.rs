//! A client that shows every byte: sends a request over TCP and reads until the end.
#![expect(
    clippy::expect_used,
    reason = "a test helper: a broken connection fails the test"
)]

use std::{io, time::Duration};

use foreman_stub::{ModelSpec, Stub};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

/// No single step of a test takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// A stub with the models that the tests use.
pub(crate) async fn stub() -> Stub {
    let a = ModelSpec::chat("fakeA").trained_context(8192);
    let tools = ModelSpec::chat("fakeW").with_tools();
    let builder = Stub::builder()
        .model(a)
        .model(ModelSpec::chat("fakeB"))
        .model(tools);
    let builder = builder.model(ModelSpec::chat("fakeT").with_tools().with_thinking());
    builder
        .model(ModelSpec::embedding("fakeE").dimensions(2))
        .start()
        .await
        .expect("a stub starts")
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The data chunks of a chunked body, or the whole body.
    pub(crate) chunks: Vec<String>,
    /// True when a chunked body had its last chunk, or a body was as long as announced.
    pub(crate) complete: bool,
    pub(crate) error: Option<io::ErrorKind>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn body(&self) -> String {
        self.chunks.concat()
    }

    /// The answer as a text to compare: status, headers in order of their names, body.
    pub(crate) fn shown(&self) -> String {
        let ignored = ["Date", "Connection"];
        let mut lines: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| !ignored.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        lines.sort();
        lines.insert(0, self.status.to_string());
        lines.push(String::new());
        lines.extend(self.chunks.iter().map(|chunk| normal(chunk)));
        lines.join("\n")
    }
}

/// A request as it goes over the wire; the connection is closed after it.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    let host = if headers.to_lowercase().contains("host:") {
        ""
    } else {
        "Host: 127.0.0.1\r\n"
    };
    format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// Opens a connection and writes.
pub(crate) async fn open(stub: &Stub, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(stub.address())
        .await
        .expect("the stub listens");
    stream
        .write_all(text.as_bytes())
        .await
        .expect("the stub reads");
    stream
}

/// Reads to the end of the connection.
pub(crate) async fn rest(stream: &mut TcpStream) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut bytes = Vec::new();
    let read = time::timeout(LIMIT, stream.read_to_end(&mut bytes))
        .await
        .expect("the stub answers");
    (bytes, read.err().map(|error| error.kind()))
}

/// Reads until the text has come.
pub(crate) async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&bytes).contains(text) {
            let byte = stream.read_u8().await.expect("more to read");
            bytes.push(byte);
        }
    };
    time::timeout(LIMIT, reading).await.expect("the text comes");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends one request and reads its answer.
pub(crate) async fn send(stub: &Stub, method: &str, path: &str, body: &str) -> Answer {
    send_with(stub, method, path, "", body).await
}

/// Sends one request with more headers, each ended by CRLF.
pub(crate) async fn send_with(
    stub: &Stub,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let mut stream = open(stub, &request(method, path, headers, body)).await;
    let (bytes, error) = rest(&mut stream).await;
    parse(&bytes, error)
}

pub(crate) async fn post(stub: &Stub, path: &str, body: &str) -> Answer {
    send(stub, "POST", path, body).await
}

/// Posts a body and returns the status and the body of the answer.
pub(crate) async fn said(stub: &Stub, path: &str, body: &str) -> (u16, String) {
    let answer = post(stub, path, body).await;
    (answer.status, answer.body())
}

pub(crate) fn parse(bytes: &[u8], error: Option<io::ErrorKind>) -> Answer {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Answer {
            status: 0,
            headers: Vec::new(),
            chunks: Vec::new(),
            complete: false,
            error,
        };
    };
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Answer {
        status: status.unwrap_or(0),
        headers,
        chunks: Vec::new(),
        complete: false,
        error,
    };
    if answer.header("Transfer-Encoding").is_some() {
        (answer.chunks, answer.complete) = dechunk(body);
    } else {
        let announced = answer
            .header("Content-Length")
            .and_then(|length| length.parse().ok());
        answer.complete = announced == Some(body.len());
        answer.chunks = vec![body.to_owned()];
    }
    answer
}

fn dechunk(mut body: &str) -> (Vec<String>, bool) {
    let mut chunks = Vec::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        if size == 0 {
            return (chunks, true);
        }
        let (Some(chunk), Some(after)) = (rest.get(..size), rest.get(size + 2..)) else {
            break;
        };
        chunks.push(chunk.to_owned());
        body = after;
    }
    (chunks, false)
}

/// A body with everything that differs from run to run replaced.
fn normal(body: &str) -> String {
    let mut text = body.to_owned();
    for (key, shown) in [
        ("created_at", "T"),
        ("completed_at", "T"),
        ("created", "T"),
        ("modified_at", "T"),
        ("expires_at", "T"),
        ("total_duration", "N"),
        ("load_duration", "N"),
        ("request_id", "R"),
    ] {
        let marker = format!("\"{key}\":");
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once(&marker) {
            let end = after.find([',', '}']).unwrap_or(after.len());
            let (value, after) = after.split_at(end);
            out = format!(
                "{out}{before}{marker}{}",
                if value == "null" { value } else { shown }
            );
            rest = after;
        }
        text = out + rest;
    }
    text
}
