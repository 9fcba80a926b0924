//! What a request is refused with, in Ollama's words and in each API's shape.

use bytes::Bytes;

use crate::request::api::{Api, Shape};
use crate::request::text::{json_string, quoted};

/// Stands in where no request id is given.
const NO_REQUEST_ID: &str = "req_000000000000000000000000";

/// A refusal that the target would give, known without asking it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// The content type of the body.
    pub content_type: &'static str,
    /// Ollama's text.
    pub message: String,
    /// Whose error body it is.
    pub shape: Shape,
    /// The model that the target would have looked up before it found this fault.
    ///
    /// If that model does not exist, [`unknown_model`] is the answer instead.
    pub after_model: Option<String>,
    /// Whether the target has asked by then that nobody keeps the answer: `Cache-Control`.
    pub no_cache: bool,
    /// Whether the fault is found where requests are translated, or where they are handled.
    place: Place,
}

/// Where in Ollama a fault is found; the places write bodies differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Translation,
    Handler,
    /// While the answer is made, which is a stream.
    Stream,
}

impl Rejection {
    pub(super) fn new(api: Api, place: Place, status: u16, message: impl Into<String>) -> Self {
        let shape = api.shape();
        let bare = match place {
            Place::Translation => false,
            Place::Handler => shape != Shape::Ollama,
            Place::Stream => true,
        };
        Self {
            status,
            content_type: if bare {
                "application/json"
            } else {
                "application/json; charset=utf-8"
            },
            message: message.into(),
            shape,
            after_model: None,
            no_cache: false,
            place,
        }
    }

    pub(super) fn after(mut self, model: &str) -> Self {
        self.after_model = Some(model.to_owned());
        self
    }

    /// Notes whether the request asks for a stream: two APIs set a header for streams before the
    /// handler finds its faults.
    #[must_use]
    pub fn of_stream(mut self, api: Api, stream: bool) -> Self {
        self.no_cache = stream
            && self.place == Place::Handler
            && matches!(api, Api::V1Messages | Api::V1Responses);
        self
    }

    /// Returns the body.
    pub fn body(&self) -> Bytes {
        self.body_with_request_id(NO_REQUEST_ID)
    }

    /// Returns the body with a request id, where its shape has one.
    pub fn body_with_request_id(&self, request_id: &str) -> Bytes {
        let message = json_string(&self.message);
        let kind = json_string(self.error_type());
        let mut body = match self.shape {
            Shape::Ollama => format!(r#"{{"error":{message}}}"#),
            Shape::OpenAi => format!(
                r#"{{"error":{{"message":{message},"type":{kind},"param":null,"code":null}}}}"#
            ),
            Shape::Anthropic => format!(
                r#"{{"type":"error","error":{{"type":{kind},"message":{message}}},"request_id":{}}}"#,
                json_string(request_id)
            ),
        };
        if self.shape != Shape::Ollama && self.place != Place::Translation {
            body.push('\n');
        }
        Bytes::from(body)
    }

    fn error_type(&self) -> &'static str {
        match (self.status, self.shape) {
            (400, _) => "invalid_request_error",
            (404, _) => "not_found_error",
            (503, Shape::Anthropic) => "overloaded_error",
            _ => "api_error",
        }
    }
}

/// Returns what a route answers when the target does not have the model.
pub fn unknown_model(api: Api, model: &str) -> Rejection {
    let message = if api.is_embedding() {
        format!("model {} not found, try pulling it first", quoted(model))
    } else {
        missing(model)
    };
    Rejection::new(api, Place::Handler, 404, message)
}

/// Returns the text for a model that is not there.
pub(super) fn missing(model: &str) -> String {
    format!("model '{model}' not found")
}
