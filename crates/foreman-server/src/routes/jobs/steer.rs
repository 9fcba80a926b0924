//! Jobs are cancelled, repeated and forgotten.

use foreman_job::{Job, JobId};
use foreman_scheduler::from_stored;
use foreman_store::{Deletion, Withdrawal};

use super::submission::{Inner, Sender, Submission};
use super::{object, pruned, query, submit, unknown};
use crate::app::Call;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::response::{self, Response};

/// Cancels a job, and says what became of it.
pub(super) async fn cancel(call: &Call, id: JobId) -> Result<Response, ApiError> {
    query(call)?.finish()?;
    let withdrawal = call.app.scheduler.cancel(id).await;
    match withdrawal.map_err(|error| ApiError::store(&error))? {
        Withdrawal::Cancelled(job) | Withdrawal::Requested(job) | Withdrawal::Final(job) => {
            Ok(object::answer(&call.app, 200, *job).await)
        }
        Withdrawal::Unknown => Err(unknown(id)),
    }
}

/// Forgets a job.
pub(super) async fn delete(call: &Call, id: JobId) -> Result<Response, ApiError> {
    query(call)?.finish()?;
    let deletion = call.app.scheduler.delete(id).await;
    match deletion.map_err(|error| ApiError::store(&error))? {
        Deletion::Forgotten(_) => Ok(response::empty(204)),
        Deletion::Running(_) => {
            let message = "the job runs; cancel it first";
            Err(ApiError::new(Fault::JobRunning, message).of_job(id))
        }
        Deletion::Unknown => Err(unknown(id)),
    }
}

/// Submits the request of an ended job again.
pub(super) async fn retry(call: &Call, job: Job) -> Result<Response, ApiError> {
    query(call)?.finish()?;
    if !job.progress.state.is_terminal() {
        let message = "the job has not ended; a new one would be a second answer to one question";
        return Err(ApiError::new(Fault::JobNotEnded, message).of_job(job.id));
    }
    let stored = call.app.scheduler.store().request(job.id).await;
    let stored = stored.map_err(|error| ApiError::store(&error))?;
    let stored = stored.ok_or_else(|| pruned(job.id))?;
    let submission = Submission {
        max_queued: call.caller.max_queued,
        priority: call.caller.priority(Some(job.priority)),
        not_before: None,
        expires_in: None,
        metadata: job.metadata,
        retry_of: Some(job.id),
        idempotency: None,
        inner: Inner {
            endpoint: job.endpoint,
            sender: Sender::new(from_stored(&stored.headers)),
            body: stored.body,
        },
    };
    let caller = job.caller.as_deref();
    let made = submit::one(&call.app, caller, submission).await?;
    Ok(object::made(&call.app, 201, made.job).await)
}
