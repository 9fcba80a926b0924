//! The error bodies of the three APIs, and texts that several routes share.

use http::StatusCode;

use crate::{
    gojson::{Obj, SyntaxError},
    request::Api,
};

/// The text for a model that does not exist, as generating routes say it.
pub(crate) fn missing_model(name: &str) -> String {
    format!("model '{name}' not found")
}

/// The error body of an API, without a newline; `order` makes request ids.
pub(crate) fn error_body(api: Api, status: StatusCode, message: &str, order: u64) -> String {
    match api {
        Api::Chat | Api::Generate => Obj::new().str("error", message).end(),
        Api::Messages => {
            let error = Obj::new()
                .str("type", anthropic_type(status))
                .str("message", message);
            let object = Obj::new().str("type", "error").raw("error", &error.end());
            object.str("request_id", &format!("req_{order:024x}")).end()
        }
        Api::ChatCompletions | Api::Completions | Api::Responses => openai_error(status, message),
    }
}

/// The `OpenAI` error body.
pub(super) fn openai_error(status: StatusCode, message: &str) -> String {
    let kind = match status {
        StatusCode::BAD_REQUEST => "invalid_request_error",
        StatusCode::NOT_FOUND => "not_found_error",
        _ => "api_error",
    };
    let error = Obj::new().str("message", message).str("type", kind);
    Obj::new()
        .raw(
            "error",
            &error.raw("param", "null").raw("code", "null").end(),
        )
        .end()
}

fn anthropic_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

/// The text for a body that is not JSON, as native routes say it.
pub(super) fn native_syntax(error: &SyntaxError) -> String {
    match error {
        SyntaxError::Empty => "missing request body".to_owned(),
        SyntaxError::Invalid(text) => text.clone(),
    }
}
