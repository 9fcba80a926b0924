//! Requests become durable jobs.

use foreman_job::{Job, JobId, Timestamp};
use foreman_store::{Accepted, NewJob, StoreError, StoredRequest};

use crate::live::{Attachment, CallerFull, Entry, LiveJob};
use crate::spool::Ending;
use crate::{NewRequest, SchedulerHandle, SubmitError, WhenCallerLeaves, transition};

/// A job that was submitted and is not waited at.
#[derive(Debug, Clone, PartialEq)]
pub struct Detached {
    /// The job; one of an earlier request is as it is now.
    pub job: Job,
    /// Whether this request made it, and not an earlier one with the same key.
    pub is_new: bool,
}

/// What an accepted request has become.
pub(crate) enum Entered {
    /// A new job, with a place for its caller.
    New(Attachment, Box<Job>),
    /// The job of an earlier request with the same key.
    Existing(Box<Job>),
}

impl SchedulerHandle {
    /// Makes a request durable as a job that nobody waits at.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit).
    ///
    /// # Cancel safety
    ///
    /// The job may come to be although the future is dropped; it is finished then.
    pub async fn submit_detached(&self, request: NewRequest) -> Result<Detached, SubmitError> {
        let request = NewRequest {
            when_caller_leaves: WhenCallerLeaves::Finish,
            ..request
        };
        let (job, is_new) = match self.accept(request).await? {
            Entered::New(_, job) => (*job, true),
            Entered::Existing(job) => (*job, false),
        };
        Ok(Detached { job, is_new })
    }

    pub(crate) async fn accept(&self, request: NewRequest) -> Result<Entered, SubmitError> {
        let shared = &self.shared;
        if shared.draining.is_cancelled() {
            return Err(SubmitError::ShuttingDown);
        }
        let now = shared.clock.now();
        let id = JobId::generate(now, shared.random.as_ref());
        let entry = Entry {
            id,
            caller: request.caller.as_deref().map(Box::from),
            resend: request.resend_key().map(Box::new),
            when_caller_leaves: request.when_caller_leaves,
            accepted: false,
        };
        let entered = shared
            .live
            .enter(entry, request.max_queued, shared.running());
        let mut attachment =
            entered.map_err(|CallerFull { waiting }| SubmitError::CallerQueueFull { waiting })?;
        let mut job = request.into_job(id, now);
        job.max_queue = Some(shared.max_queue);
        let accepted = shared.store.accept(job.clone()).await;
        if let Ok(Accepted::New { seq }) = accepted {
            let job = Box::new(job.to_job(seq));
            self.announce(&job, attachment.job());
            if shared.draining.is_cancelled() {
                // The farewell to the waiting callers may have missed this one.
                attachment.job().keep();
                attachment.job().spool.end(None, Ending::ShuttingDown, 0);
            }
            attachment.job().spool.unseal();
            return Ok(Entered::New(attachment, job));
        }
        attachment.finish();
        if let Some(live) = shared.live.remove(id) {
            // The same request, sent again meanwhile, waits for what never came to be.
            live.spool.end(None, Ending::Unknown, 0);
            live.spool.unseal();
        }
        match accepted {
            Ok(Accepted::Existing(job)) => Ok(Entered::Existing(job)),
            Ok(Accepted::New { .. }) => Err(StoreError::NotFound),
            Err(StoreError::QueueFull { waiting }) => {
                return Err(SubmitError::QueueFull { waiting });
            }
            Err(source) => Err(source),
        }
        .map_err(|source| SubmitError::Store { id, source })
    }

    /// Tells those whom a new job concerns.
    fn announce(&self, job: &Job, live: &LiveJob) {
        let shared = &self.shared;
        // It may have been claimed already.
        if job.progress.retry_at.is_none() && shared.store.counts().queued > 0 {
            shared.ready.notify_one();
        }
        if job.progress.retry_at.is_some() || job.expires_at.is_some() {
            shared.due.notify_one();
        }
        transition::accepted(shared, job, live);
    }
}

impl NewRequest {
    fn into_job(self, id: JobId, now: Timestamp) -> NewJob {
        NewJob {
            id,
            endpoint: self.endpoint,
            model: self.model,
            runner: self.runner,
            priority: self.priority,
            caller: self.caller,
            created_at: now,
            not_before: self.not_before,
            expires_at: self.expires_in.map(|wait| now.saturating_add(wait)),
            request: StoredRequest {
                headers: self.headers,
                body: self.body,
            },
            idempotency: self.idempotency,
            max_queue: None,
            retry_of: self.retry_of,
            metadata: self.metadata,
        }
    }
}
