//! Requests become durable jobs.

use std::sync::Arc;

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
        let request = Box::new(NewRequest {
            when_caller_leaves: WhenCallerLeaves::Finish,
            ..request
        });
        let entered = self.accept(request).await?;
        Ok(self.detached(entered))
    }

    /// Makes requests durable as jobs that nobody waits at, in their order and together.
    ///
    /// # Errors
    ///
    /// For each of them as for [`submit`](Self::submit).
    ///
    /// # Cancel safety
    ///
    /// The jobs may come to be although the future is dropped; they are finished then.
    pub async fn submit_all_detached(
        &self,
        requests: Vec<NewRequest>,
    ) -> Vec<Result<Detached, SubmitError>> {
        let mut jobs = Vec::with_capacity(requests.len());
        let mut entering = Vec::with_capacity(requests.len());
        for request in requests {
            let request = NewRequest {
                when_caller_leaves: WhenCallerLeaves::Finish,
                ..request
            };
            entering.push(self.enter(request).map(|(attachment, new)| {
                let job = Box::new(new.to_job(0));
                jobs.push(new);
                (attachment, job)
            }));
        }
        let together = self.shared.guesses.enter_all(&jobs);
        let mut accepted = self.shared.store.accept_all(jobs).await.into_iter();
        drop(together);
        let each = entering.into_iter().map(|entering| {
            let (attachment, job) = entering?;
            let accepted = accepted.next().unwrap_or(Err(StoreError::NotFound));
            let entered = self.entered(attachment, job, accepted)?;
            Ok(self.detached(entered))
        });
        each.collect()
    }

    pub(crate) async fn accept(&self, request: Box<NewRequest>) -> Result<Entered, SubmitError> {
        let (attachment, new) = self.enter(*request)?;
        // The target goes first: what it does takes longer.
        let entering = self.shared.guesses.enter(&self.shared, &new).await;
        let job = Box::new(new.to_job(0));
        let accepted = self.shared.store.accept(new).await;
        if let Ok(Accepted::New { .. }) = accepted {
            entering.accepted();
        }
        self.entered(attachment, job, accepted)
    }

    /// Makes a request live, before it is accepted.
    fn enter(&self, mut request: NewRequest) -> Result<(Attachment, NewJob), SubmitError> {
        let shared = &self.shared;
        if shared.draining.is_cancelled() {
            return Err(SubmitError::ShuttingDown);
        }
        let now = shared.clock.now();
        let id = JobId::generate(now, shared.random.as_ref());
        let entry = Entry {
            id,
            caller: request.caller.as_deref().map(Arc::from),
            resend: request.resend_key().map(Box::new),
            when_caller_leaves: request.when_caller_leaves,
            accepted: false,
        };
        let entered = shared
            .live
            .enter(entry, request.max_queued, shared.running());
        let attachment =
            entered.map_err(|CallerFull { waiting }| SubmitError::CallerQueueFull { waiting })?;
        if let Some(head) = request.head.take() {
            shared.heads.keep(id, head);
        }
        let mut job = request.into_job(id, now);
        job.max_queue = Some(shared.max_queue);
        Ok((attachment, job))
    }

    /// Goes on once the store has said what became of a request.
    fn entered(
        &self,
        mut attachment: Attachment,
        mut job: Box<Job>,
        accepted: Result<Accepted, StoreError>,
    ) -> Result<Entered, SubmitError> {
        let shared = &self.shared;
        let id = job.id;
        if let Ok(Accepted::New { seq }) = accepted {
            job.seq = seq;
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
        shared.heads.take(id);
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

    /// Lets go of a job that nobody waits at.
    fn detached(&self, entered: Entered) -> Detached {
        match entered {
            Entered::New(attachment, job) => {
                drop(attachment);
                self.shared.live.let_go(job.id);
                Detached {
                    job: *job,
                    is_new: true,
                }
            }
            Entered::Existing(job) => Detached {
                job: *job,
                is_new: false,
            },
        }
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
