//! What goes wrong, and what callers are told about it.

use std::borrow::Cow;
use std::io;

use foreman_job::{FailureSource, JobFailure, JobId};
use foreman_ollama::TargetError;
use foreman_scheduler::{Ending, SubmitError};
use foreman_store::StoreError;

use crate::fault::Fault;

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener does not know its own address.
    #[error("the listener is not usable")]
    Listener(#[source] io::Error),
}

/// What Ollama says when too many requests wait.
const BUSY: &str = "server busy, please try again.  maximum pending requests exceeded";
/// A fault as a caller is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    fault: Fault,
    message: Cow<'static, str>,
    retry_after: Option<u64>,
    job: Option<JobId>,
    attempts: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(fault: Fault, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            fault,
            message: message.into(),
            retry_after: fault.retry_after(),
            job: None,
            attempts: None,
        }
    }

    /// Makes the error for a job that ended without a complete answer.
    pub(crate) fn ended(ending: &Ending, job: JobId, attempts: u32) -> Self {
        let error = match ending {
            Ending::Failed(failure) => Self::failed(failure),
            Ending::Cancelled => Self::new(Fault::Cancelled, "the job was cancelled"),
            Ending::ShuttingDown => Self::new(
                Fault::ShuttingDown,
                "foreman is shutting down; the job is kept and resumes after the restart",
            ),
            Ending::Unknown => Self::new(
                Fault::OutcomeUnknown,
                "nobody knows whether the answer was kept",
            ),
            // An answer without a beginning has no end: only a defect leads here.
            Ending::Complete => Self::internal(),
        };
        Self {
            job: Some(job),
            attempts: Some(attempts),
            ..error
        }
    }

    /// Makes the error for a failure, as it is kept with its job.
    pub(crate) fn failed(failure: &JobFailure) -> Self {
        Self::new(Fault::Job(failure.kind), failure.message.clone())
    }

    /// Makes the error for a request that was not accepted as a job.
    pub(crate) fn refused(error: &SubmitError, backlog_retry: impl FnOnce(u64) -> u64) -> Self {
        match error {
            SubmitError::QueueFull { waiting } | SubmitError::CallerQueueFull { waiting } => Self {
                retry_after: Some(backlog_retry(*waiting)),
                ..Self::new(Fault::QueueFull, BUSY)
            },
            SubmitError::ShuttingDown => Self::new(Fault::ShuttingDown, "foreman is shutting down"),
            SubmitError::Store { id, source } => Self::not_accepted(*id, source),
        }
    }

    fn not_accepted(id: JobId, error: &StoreError) -> Self {
        match error {
            StoreError::IdempotencyMismatch => Self::new(
                Fault::IdempotencyMismatch,
                "the idempotency key was used with another request",
            ),
            StoreError::Full(_) => Self::new(
                Fault::StoreFull,
                "the disk of foreman is full; nothing was accepted",
            ),
            StoreError::Unknown(_) => Self {
                job: Some(id),
                ..Self::new(
                    Fault::AcceptUnknown,
                    "nobody knows whether the request was accepted; \
                     send it again with the same idempotency key",
                )
            },
            StoreError::Closed => Self::new(Fault::ShuttingDown, "foreman is shutting down"),
            StoreError::Lost(_)
            | StoreError::NotFound
            | StoreError::QueueFull { .. }
            | StoreError::Busy
            | StoreError::Failed(_)
            | StoreError::Database(_)
            | StoreError::Damaged(_) => Self::store(error),
        }
    }

    /// Makes the error for a store that cannot be read.
    pub(crate) fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Busy => Self::new(Fault::StoreBusy, "the database is busy"),
            StoreError::Failed(_) | StoreError::Database(_) | StoreError::Unknown(_) => {
                Self::new(Fault::StoreFailed, "the database does not work")
            }
            StoreError::Full(_) => Self::new(Fault::StoreFull, "the disk of foreman is full"),
            StoreError::Closed => Self::new(Fault::ShuttingDown, "foreman is shutting down"),
            StoreError::NotFound => Self::new(Fault::NotFound, "no such job"),
            StoreError::QueueFull { .. } => Self::new(Fault::QueueFull, BUSY),
            StoreError::Lost(_) | StoreError::IdempotencyMismatch | StoreError::Damaged(_) => {
                Self::internal()
            }
        }
    }

    /// Makes the error for a target that did not answer.
    pub(crate) fn target(error: &TargetError) -> Self {
        let kind = error.kind();
        Self::new(Fault::Target(kind), format!("target: {kind}"))
    }

    /// Makes the error for a defect; its cause is in the log only.
    pub(crate) fn internal() -> Self {
        Self::new(Fault::Internal, "internal error")
    }

    /// Says when to come back.
    #[must_use]
    pub(crate) const fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds the job that it is about.
    #[must_use]
    pub(crate) fn of_job(mut self, job: JobId) -> Self {
        self.job = Some(job);
        self
    }

    pub(crate) fn status(&self) -> u16 {
        self.fault.status_and_code().0
    }

    pub(crate) fn code(&self) -> &'static str {
        self.fault.status_and_code().1
    }

    pub(crate) const fn source(&self) -> FailureSource {
        self.fault.source()
    }

    pub(crate) const fn fault(&self) -> Fault {
        self.fault
    }

    pub(crate) const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    pub(crate) const fn job(&self) -> Option<JobId> {
        self.job
    }

    pub(crate) const fn attempts(&self) -> Option<u32> {
        self.attempts
    }

    /// Returns the text for people.
    pub(crate) fn message(&self) -> Cow<'_, str> {
        match self.attempts {
            Some(attempts) if attempts > 1 => {
                Cow::Owned(format!("{} (after {attempts} attempts)", self.message))
            }
            Some(_) | None => Cow::Borrowed(&self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use foreman_job::FailureKind;
    use foreman_store::UnknownCause;
    use rstest::rstest;

    use super::*;

    fn id() -> JobId {
        "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC".parse().unwrap()
    }

    fn failed(kind: FailureKind) -> Ending {
        Ending::Failed(JobFailure::new(kind, "why"))
    }

    #[rstest]
    #[case(failed(FailureKind::TargetUnreachable), 502, "target_unreachable")]
    #[case(failed(FailureKind::FirstByteTimeout), 504, "first_byte_timeout")]
    #[case(failed(FailureKind::Expired), 504, "expired")]
    #[case(failed(FailureKind::TargetBusy), 503, "target_busy")]
    #[case(failed(FailureKind::Panic), 500, "internal")]
    #[case(Ending::Cancelled, 499, "cancelled")]
    #[case(Ending::ShuttingDown, 503, "shutting_down")]
    #[case(Ending::Unknown, 503, "outcome_unknown")]
    fn an_ending_without_answer_has_its_status(
        #[case] ending: Ending,
        #[case] status: u16,
        #[case] code: &str,
    ) {
        let error = ApiError::ended(&ending, id(), 3);

        assert_eq!((error.status(), error.code()), (status, code));
        assert_eq!(error.job(), Some(id()));
        assert!(error.message().ends_with("(after 3 attempts)"));
    }

    #[rstest]
    #[case(StoreError::Full("x".into()), 507, "storage_full", true)]
    #[case(StoreError::Unknown(UnknownCause("x".into())), 503, "accept_unknown", true)]
    #[case(StoreError::IdempotencyMismatch, 422, "idempotency_mismatch", false)]
    #[case(StoreError::Closed, 503, "shutting_down", true)]
    #[case(StoreError::Damaged("x".into()), 500, "internal", false)]
    fn a_store_that_does_not_take_a_job_has_its_status(
        #[case] source: StoreError,
        #[case] status: u16,
        #[case] code: &str,
        #[case] come_back: bool,
    ) {
        let error = ApiError::refused(&SubmitError::Store { id: id(), source }, |_| 1);

        assert_eq!((error.status(), error.code()), (status, code));
        assert_eq!(error.retry_after().is_some(), come_back);
    }

    #[test]
    fn a_full_queue_is_told_in_the_words_of_the_target() {
        let error = ApiError::refused(&SubmitError::QueueFull { waiting: 7 }, |waiting| waiting);

        assert_eq!(error.status(), 503);
        assert_eq!(
            error.message(),
            "server busy, please try again.  maximum pending requests exceeded"
        );
        assert_eq!(error.retry_after(), Some(7));
    }
}
