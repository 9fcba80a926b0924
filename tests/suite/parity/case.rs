//! One request of a table.

use foreman_tests::{Exchange, Head};
use serde_json::Value;

use super::seen::Seen;

/// The host that requests name unless they say otherwise.
const HOST: &str = "127.0.0.1:11434";

/// One request, sent on a connection of its own.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Case {
    /// Makes a request of its head, one line each for method with path and for every header, and
    /// its body.
    pub(super) fn new(head: &str, body: &[u8]) -> Self {
        let mut lines = head.lines();
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        });
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers.collect(),
            body: body.to_vec(),
        }
    }

    /// Returns the request as the lists of differences name it.
    pub(super) fn id(&self) -> String {
        let mut words = vec![self.method.clone(), self.path.clone()];
        let headers = self.headers.iter();
        words.extend(headers.map(|(name, value)| format!("[{name}: {value}]")));
        if !self.body.is_empty() {
            words.push(String::from_utf8_lossy(&self.body).into_owned());
        }
        words.join(" ")
    }

    /// Sends it and reads the whole answer.
    pub(super) async fn ask(&self, url: &str) -> Seen {
        let mut exchange = Exchange::send_raw(url, &self.bytes()).await;
        let head: Head = exchange.head().await;
        let mut chunks = Vec::new();
        while let Some(chunk) = exchange.chunk().await {
            chunks.push(chunk);
        }
        if self.path == "/api/ps" && self.method == "GET" {
            chunks = vec![by_name(&chunks.concat())];
        }
        let whole = self.method == "HEAD" || exchange.is_clean();
        Seen::new(&self.method, &head, chunks, whole)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.path)];
        let mut line = |name: &str, value: &str| lines.push(format!("{name}: {value}"));
        let has = |wanted: &str| {
            let mut names = self.headers.iter().map(|(name, _)| name);
            names.any(|name| name.eq_ignore_ascii_case(wanted))
        };
        if !has("Host") {
            line("Host", HOST);
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        let has_body = !self.body.is_empty() || self.method == "POST";
        if has_body && !has("Transfer-Encoding") {
            line("Content-Length", &self.body.len().to_string());
        }
        line("Connection", "close");
        let mut bytes = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Sorts the loaded models by their names: Ollama does by the time that they stay, and how long
/// that is, is foreman's policy.
fn by_name(body: &[u8]) -> Vec<u8> {
    let Ok(mut list) = serde_json::from_slice::<Value>(body) else {
        return body.to_vec();
    };
    if let Some(models) = list["models"].as_array_mut() {
        models.sort_by_key(|model| model["name"].to_string());
    }
    list.to_string().into_bytes()
}
