//! Asks a running foreman, and turns refusals into errors.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use foreman_ollama::{
    Deadlines, HyperClient, OllamaClient, TargetBody, TargetConfig, TargetError, TargetRequest,
    TargetResponse,
};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::place::Place;
use crate::commands::CommandError;

/// A foreman on the same network answers at once, or is not there.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may be silent, beyond what it was asked to wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// Largest answer that is read whole; the longest list is far smaller.
const ANSWER_LIMIT: usize = 256 * 1024 * 1024;

/// A running foreman.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    client: HyperClient,
    url: String,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It is there at once.
    Not,
    /// Foreman was asked to hold it back for so long.
    For(Duration),
    /// It goes on for as long as the job does.
    ForEver,
}

impl Remote {
    /// Makes a client; opens no connection.
    ///
    /// # Errors
    ///
    /// An address or a token that cannot be used.
    pub(crate) fn new(place: Place) -> Result<Self, CommandError> {
        let Place { url, from, token } = place;
        let config = TargetConfig {
            url: url.clone(),
            token,
            connect_timeout: CONNECT,
            ..TargetConfig::default()
        };
        let client =
            HyperClient::new(config).map_err(|source| CommandError::Address { from, source })?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { client, url })
    }

    /// Reads something.
    pub(crate) async fn get(&self, path: &str, waiting: Waiting) -> Result<Bytes, CommandError> {
        let response = self.open(Method::GET, path, None, waiting).await?;
        self.whole(response).await
    }

    /// Reads something as JSON.
    pub(crate) async fn get_json(
        &self,
        path: &str,
        waiting: Waiting,
    ) -> Result<Value, CommandError> {
        let body = self.get(path, waiting).await?;
        self.parse(&body)
    }

    /// Steers something; none where there is nothing to say.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, CommandError> {
        let body = body.map(|body| (Bytes::from(body.to_string()), "application/json"));
        let response = self.open(method, path, body, Waiting::Not).await?;
        let body = self.whole(response).await?;
        if body.is_empty() {
            return Ok(None);
        }
        self.parse(&body).map(Some)
    }

    /// Asks something, and gives the answer to be read piece by piece.
    ///
    /// # Errors
    ///
    /// Any status but success.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<(Bytes, &'static str)>,
        waiting: Waiting,
    ) -> Result<TargetResponse, CommandError> {
        let response = self.exchange(method, path, body, waiting).await?;
        if response.status.is_success() {
            return Ok(response);
        }
        self.refuse(response).await
    }

    /// Reads what the target answered, whatever its status was.
    ///
    /// # Errors
    ///
    /// What foreman itself refuses.
    pub(crate) async fn open_output(&self, path: &str) -> Result<TargetResponse, CommandError> {
        let response = self.exchange(Method::GET, path, None, Waiting::Not).await?;
        let source = response.headers.get("x-foreman-error-source");
        if source.is_some_and(|source| source == "foreman") {
            return self.refuse(response).await;
        }
        Ok(response)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(Bytes, &'static str)>,
        waiting: Waiting,
    ) -> Result<TargetResponse, CommandError> {
        let mut headers = HeaderMap::new();
        let body = match body {
            Some((body, kind)) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                TargetBody::Full(body)
            }
            None => TargetBody::Empty,
        };
        let request = TargetRequest {
            method,
            path_and_query: path.to_owned(),
            headers,
            body,
            deadlines: waiting.deadlines(),
        };
        let response = self.client.forward(request).await;
        response.map_err(|source| self.lost(source))
    }

    async fn refuse<T>(&self, response: TargetResponse) -> Result<T, CommandError> {
        let status = response.status.as_u16();
        let body = self.whole(response).await?;
        Err(self.refusal(status, &body))
    }

    /// Reads an answer to its end.
    pub(crate) async fn whole(&self, response: TargetResponse) -> Result<Bytes, CommandError> {
        let body = response.body.collect(ANSWER_LIMIT).await;
        body.map_err(|source| self.lost(source))
    }

    /// Reads JSON in the shape that is expected.
    pub(crate) fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CommandError> {
        serde_json::from_slice(body).map_err(|error| self.foreign(error.to_string()))
    }

    /// Reads a value in the shape that is expected.
    pub(crate) fn shape<T: DeserializeOwned>(&self, value: Value) -> Result<T, CommandError> {
        serde_json::from_value(value).map_err(|error| self.foreign(error.to_string()))
    }

    /// Makes the error for an answer that foreman would not give.
    pub(crate) fn foreign(&self, what: impl Into<String>) -> CommandError {
        CommandError::Foreign {
            url: self.url.clone(),
            what: what.into(),
        }
    }

    /// Makes the error for a foreman that cannot be reached, or not any more.
    pub(crate) fn lost(&self, source: TargetError) -> CommandError {
        CommandError::Unreachable {
            url: self.url.clone(),
            source,
        }
    }

    fn refusal(&self, status: u16, body: &[u8]) -> CommandError {
        let message = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
        match message {
            Some(message) => CommandError::Refused { status, message },
            None => self.foreign(format!("status {status} without a reason")),
        }
    }
}

impl Waiting {
    fn deadlines(self) -> Deadlines {
        match self {
            Self::Not => Deadlines::both(PATIENCE),
            Self::For(time) => Deadlines::both(PATIENCE.saturating_add(time)),
            Self::ForEver => Deadlines::UNLIMITED,
        }
    }
}

/// Puts a path and its query together; values may hold anything.
pub(crate) fn query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut text = path.to_owned();
    let given = pairs
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)));
    for (number, (name, value)) in given.enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _written = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_what_was_given_and_nothing_can_break_out_of_it() {
        let path = query(
            "/jobs",
            &[
                ("state", None),
                ("model", Some("a/b:1&x=1 é")),
                ("limit", Some("3")),
            ],
        );

        assert_eq!(path, "/jobs?model=a%2Fb%3A1%26x%3D1%20%C3%A9&limit=3");
        assert_eq!(query("/jobs", &[("state", None)]), "/jobs");
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_foreman() {
        let place = Place {
            url: "http://127.0.0.1:1".to_owned(),
            from: "--url",
            token: None,
        };
        let remote = Remote::new(place).unwrap();

        let error = remote.refusal(404, br#"{"error":"no job 01J","code":"not_found"}"#);
        let other = remote.refusal(502, b"<html>");

        assert_eq!(error.to_string(), "no job 01J");
        assert_eq!(error.exit().code(), 5);
        assert!(other.to_string().contains("does not answer as foreman"));
        assert_eq!(other.exit().code(), 1);
    }
}
