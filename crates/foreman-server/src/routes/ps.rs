//! Which models are loaded: asked live, and none while the target is away.

use std::time::Duration;

use foreman_ollama::Deadlines;
use http::header::{HeaderName, HeaderValue};

use crate::app::Call;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::response::{self, Response};
use crate::target;

const TARGET: HeaderName = HeaderName::from_static("x-foreman-target");
/// The target answers this out of its memory, or is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn answer(call: Call) -> Result<Response, ApiError> {
    match target::pass(call, Deadlines::both(PATIENCE)).await {
        Ok(response) => Ok(target::answer(response, None)),
        Err(error) if matches!(error.fault(), Fault::Target(_)) => Ok(nothing_loaded()),
        Err(error) => Err(error),
    }
}

fn nothing_loaded() -> Response {
    let mut response = response::json(200, r#"{"models":[]}"#);
    let unreachable = HeaderValue::from_static("unreachable");
    response.headers_mut().insert(TARGET, unreachable);
    response
}
