//! Embeddings: straight to the target, never queued, never parsed.

use crate::app::Call;
use crate::error::ApiError;
use crate::response::Response;
use crate::target;

pub(crate) async fn answer(call: Call) -> Result<Response, ApiError> {
    let deadlines = call.app.config.direct_deadlines;
    call.app.scheduler.note_work_beside_jobs();
    let response = target::pass(call, deadlines).await?;
    Ok(target::answer(response, None))
}
