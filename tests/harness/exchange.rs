//! An HTTP/1.1 client that shows what is on the wire: each chunk as it was sent.

use std::io;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::within;

/// One request and its answer, on a connection of its own. Dropping it is leaving.
#[derive(Debug)]
pub struct Exchange {
    stream: BufReader<TcpStream>,
    head: Option<Head>,
    left: Left,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Names (lower case) and values, in order.
    pub headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its head.
    pub head: Head,
    /// The chunks of its body; one for a body with a length.
    pub chunks: Vec<Vec<u8>>,
    /// Whether the body ended as it should.
    pub clean: bool,
}

#[derive(Debug)]
enum Left {
    Unknown,
    Length(usize),
    Chunked,
    UntilClose,
    Nothing,
    Broken,
}

/// Makes the bytes of a request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let first = format!("{method} {path} HTTP/1.1");
    let mut lines = vec![first, "Host: localhost".to_owned()];
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    if !body.is_empty() || method == "POST" {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    let mut bytes = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Exchange {
    /// Connects and sends bytes as they are.
    pub async fn send_raw(url: &str, bytes: &[u8]) -> Self {
        Self::try_send(url, bytes).await.expect("send a request")
    }

    /// Connects and sends bytes as they are, to one that may be gone.
    ///
    /// # Errors
    ///
    /// When there is no connection, or it ends before all is sent.
    pub async fn try_send(url: &str, bytes: &[u8]) -> io::Result<Self> {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        Ok(Self {
            stream: BufReader::new(stream),
            head: None,
            left: Left::Unknown,
        })
    }

    /// Connects and sends a request with a JSON body.
    pub async fn post(url: &str, path: &str, body: &Value) -> Self {
        Self::post_with(url, path, &[], body).await
    }

    /// Connects and sends a request with a JSON body and headers.
    pub async fn post_with(url: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Self {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        Self::send_raw(
            url,
            &request("POST", path, &all, body.to_string().as_bytes()),
        )
        .await
    }

    /// Connects and sends a request without a body.
    pub async fn get(url: &str, path: &str) -> Self {
        Self::send_raw(url, &request("GET", path, &[], b"")).await
    }

    /// Waits for the head of the answer; interim heads are passed over.
    pub async fn head(&mut self) -> Head {
        let head = within("the head of an answer", self.try_head()).await;
        head.expect("the head of an answer")
    }

    /// Waits for the head of the answer, without limit; none when the connection ends before.
    pub async fn try_head(&mut self) -> Option<Head> {
        if let Some(head) = &self.head {
            return Some(head.clone());
        }
        loop {
            let head = self.read_head().await?;
            if head.status >= 200 {
                self.left = Left::of(&head);
                self.head = Some(head.clone());
                return Some(head);
            }
        }
    }

    /// Waits for the next chunk; none at the end, see [`is_clean`](Self::is_clean).
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        self.head().await;
        within("a chunk", self.read_chunk()).await
    }

    /// Tells, after the last chunk, whether the body ended as it should.
    pub fn is_clean(&self) -> bool {
        matches!(self.left, Left::Nothing)
    }

    /// Reads the answer to its end, without limit, whatever the end is; none when the connection
    /// ends before the head.
    pub async fn try_reply(mut self) -> Option<Reply> {
        let head = self.try_head().await?;
        let mut chunks = Vec::new();
        while let Some(chunk) = self.read_chunk().await {
            chunks.push(chunk);
        }
        let clean = self.is_clean();
        Some(Reply {
            head,
            chunks,
            clean,
        })
    }

    /// Reads the answer to its end.
    pub async fn reply(mut self) -> Reply {
        let head = self.head().await;
        let mut chunks = Vec::new();
        while let Some(chunk) = self.chunk().await {
            chunks.push(chunk);
        }
        Reply {
            head,
            chunks,
            clean: self.is_clean(),
        }
    }

    async fn read_head(&mut self) -> Option<Head> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Head {
            status: status.unwrap_or_else(|| panic!("no status line: {first:?}")),
            headers,
        })
    }

    async fn read_chunk(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(&mut self.left, Left::Broken) {
            Left::Chunked => {
                let size = self.line().await?;
                let size = usize::from_str_radix(size.split(';').next()?, 16).ok()?;
                let data = self.exactly(size).await?;
                self.line().await?;
                self.left = if size == 0 {
                    Left::Nothing
                } else {
                    Left::Chunked
                };
                (size > 0).then_some(data)
            }
            Left::Length(size) => {
                let data = self.exactly(size).await?;
                self.left = Left::Nothing;
                (size > 0).then_some(data)
            }
            Left::UntilClose => {
                let mut data = Vec::new();
                self.stream.read_to_end(&mut data).await.ok()?;
                self.left = Left::Nothing;
                (!data.is_empty()).then_some(data)
            }
            end @ (Left::Nothing | Left::Unknown) => {
                self.left = end;
                None
            }
            Left::Broken => None,
        }
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }

    async fn exactly(&mut self, size: usize) -> Option<Vec<u8>> {
        let mut data = vec![0; size];
        self.stream.read_exact(&mut data).await.ok()?;
        Some(data)
    }
}

impl Left {
    fn of(head: &Head) -> Self {
        if head.status == 204 || head.status == 304 {
            return Self::Nothing;
        }
        let length = head.header("content-length").and_then(|it| it.parse().ok());
        match (head.header("transfer-encoding"), length) {
            (Some(_), _) => Self::Chunked,
            (None, Some(length)) => Self::Length(length),
            (None, None) => Self::UntilClose,
        }
    }
}

impl Head {
    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Reply {
    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Returns the whole body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.chunks.concat()).expect("a body of text")
    }

    /// Returns the whole body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Returns the lines of the body as JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }
}
