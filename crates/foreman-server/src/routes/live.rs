//! What is passed through to the target untouched.

use std::sync::Arc;

use foreman_ollama::Deadlines;

use crate::app::Call;
use crate::error::ApiError;
use crate::response::Response;
use crate::target;

/// Passes a request through. There are no deadlines: a pull may be silent for long.
pub(crate) async fn answer(call: Call) -> Result<Response, ApiError> {
    let response = target::pass(call, Deadlines::UNLIMITED).await?;
    Ok(target::answer(response, None))
}

/// Passes a request through that changes which models the target has.
pub(crate) async fn change(call: Call) -> Result<Response, ApiError> {
    let app = Arc::clone(&call.app);
    let response = target::pass(call, Deadlines::UNLIMITED).await?;
    let change = response.status.is_success().then(|| app.changes.begin());
    Ok(target::answer(response, change))
}
