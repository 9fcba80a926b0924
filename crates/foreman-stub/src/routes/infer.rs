//! The routes that generate text: decodes the body, then hands over.

use bytes::Bytes;
use http::StatusCode;

use super::error::{error_body, native_syntax};
use crate::{
    generate::run,
    gojson::GoError,
    reply::{JSON, JSON_BARE, Reply},
    request::{self, Api, Work},
    router::Call,
};

/// Answers a request to a generating route.
pub(super) async fn infer(api: Api, call: Box<Call>) -> Reply {
    let order = call.ticket.order();
    match decode(api, &call) {
        Ok(work) => run(call, Box::new(work)).await,
        Err(GoError(text)) => {
            let body = error_body(api, StatusCode::BAD_REQUEST, &text, order);
            // The one check of this API that is made by the handler and not before it.
            if api == Api::Responses && text == "model is required" {
                return Reply::new(StatusCode::BAD_REQUEST, JSON_BARE, Bytes::from(body + "\n"));
            }
            Reply::new(StatusCode::BAD_REQUEST, JSON, body)
        }
    }
}

fn decode(api: Api, call: &Call) -> Result<Work, GoError> {
    let body = call.parsed.as_ref().map_err(|error| {
        GoError(if api.is_native() {
            native_syntax(error)
        } else {
            error.to_string()
        })
    })?;
    let order = call.ticket.order();
    match api {
        Api::Chat => request::chat(body, &call.body),
        Api::Generate => request::generate(body, &call.body),
        Api::ChatCompletions => request::chat_completions(body, order),
        Api::Completions => request::completions(body, order),
        Api::Responses => request::responses(body, order),
        Api::Messages => request::messages(body, order),
    }
}
