//! The one table of faults: what each means to a caller.

use foreman_job::{FailureKind, FailureSource};
use foreman_ollama::ErrorKind;

/// When to come back after something that only a person can change.
const RETRY_LATER: u64 = 60;
/// When to come back after something that passes.
const RETRY_SOON: u64 = 5;

/// The faults that a caller is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A header of the request says what it must not.
    BadHeader,
    /// The request cannot be read.
    BadRequest,
    /// No token, or a wrong one.
    Unauthorized,
    /// The caller may not.
    Forbidden,
    /// Nothing is there.
    NotFound,
    /// The caller stopped sending.
    BodyTimeout,
    /// The caller sends more than it may.
    BodyTooLarge,
    /// The target would refuse the request, with this status.
    Refused(u16),
    /// The request is one that does not wait in the queue.
    NotAJob,
    /// The job runs, and must not for what is asked.
    JobRunning,
    /// The job has not ended, and must have for what is asked.
    JobNotEnded,
    /// The key was used with another body.
    IdempotencyMismatch,
    /// The answer was kept, and is not any more.
    AnswerGone,
    /// Somebody cancelled the job. The status is the one that Ollama notes for it; clients do not
    /// repeat such a request by themselves.
    Cancelled,
    /// As many requests of the caller are open as may.
    TooManyRequests,
    /// The caller asks more often than it may.
    RateLimited,
    /// As many connections are open as may.
    TooManyConnections,
    /// As much memory holds bodies of requests as may.
    TooManyBodies,
    /// As many jobs wait as may.
    QueueFull,
    /// Foreman ends.
    ShuttingDown,
    /// The disk is full.
    StoreFull,
    /// The store is busy for a moment.
    StoreBusy,
    /// Nobody knows whether the job was accepted.
    AcceptUnknown,
    /// The store cannot do its work.
    StoreFailed,
    /// Nobody knows whether the end of the job was kept.
    OutcomeUnknown,
    /// The job failed.
    Job(FailureKind),
    /// The target did not answer a request that was passed through.
    Target(ErrorKind),
    /// A defect of foreman.
    Internal,
}

impl Fault {
    /// The table: status and code.
    pub(crate) const fn status_and_code(self) -> (u16, &'static str) {
        match self {
            Self::BadHeader => (400, "bad_header"),
            Self::BadRequest => (400, "bad_request"),
            Self::Unauthorized => (401, "unauthorized"),
            Self::Forbidden => (403, "forbidden"),
            Self::NotFound => (404, "not_found"),
            Self::BodyTimeout => (408, "body_timeout"),
            Self::JobRunning => (409, "job_running"),
            Self::JobNotEnded => (409, "job_not_ended"),
            Self::AnswerGone => (410, "answer_gone"),
            Self::BodyTooLarge => (413, "body_too_large"),
            Self::IdempotencyMismatch => (422, "idempotency_mismatch"),
            Self::NotAJob => (422, "not_a_job"),
            Self::Refused(status) => (status, "request_refused"),
            Self::TooManyRequests => (429, "too_many_requests"),
            Self::RateLimited => (429, "rate_limited"),
            Self::Cancelled => (499, "cancelled"),
            Self::QueueFull => (503, "queue_full"),
            Self::TooManyConnections => (503, "too_many_connections"),
            Self::TooManyBodies => (503, "too_many_bodies"),
            Self::ShuttingDown => (503, "shutting_down"),
            Self::StoreBusy => (503, "storage_busy"),
            Self::StoreFailed => (503, "storage_failed"),
            Self::AcceptUnknown => (503, "accept_unknown"),
            Self::OutcomeUnknown => (503, "outcome_unknown"),
            Self::StoreFull => (507, "storage_full"),
            Self::Job(kind) => (job_status(kind), kind.code()),
            Self::Target(kind) => target_status_and_code(kind),
            Self::Internal => (500, "internal"),
        }
    }

    pub(crate) const fn source(self) -> FailureSource {
        match self {
            Self::Job(kind) => kind.source(),
            Self::Target(ErrorKind::RequestBody)
            | Self::BadHeader
            | Self::BadRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::BodyTimeout
            | Self::AnswerGone
            | Self::Refused(_)
            | Self::NotAJob
            | Self::JobRunning
            | Self::JobNotEnded
            | Self::BodyTooLarge
            | Self::IdempotencyMismatch
            | Self::Cancelled
            | Self::TooManyRequests
            | Self::RateLimited
            | Self::TooManyConnections
            | Self::TooManyBodies
            | Self::QueueFull
            | Self::ShuttingDown
            | Self::StoreBusy
            | Self::StoreFailed
            | Self::AcceptUnknown
            | Self::OutcomeUnknown
            | Self::StoreFull
            | Self::Internal => FailureSource::Foreman,
            Self::Target(_) => FailureSource::Target,
        }
    }

    /// Returns after how many seconds the caller may come back, where that makes sense.
    pub(crate) const fn retry_after(self) -> Option<u64> {
        match self {
            Self::StoreFull | Self::StoreFailed => Some(RETRY_LATER),
            Self::TooManyRequests
            | Self::RateLimited
            | Self::TooManyConnections
            | Self::TooManyBodies
            | Self::QueueFull
            | Self::ShuttingDown
            | Self::StoreBusy
            | Self::AcceptUnknown
            | Self::OutcomeUnknown
            | Self::Job(FailureKind::TargetBusy) => Some(RETRY_SOON),
            Self::BadHeader
            | Self::BadRequest
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::BodyTimeout
            | Self::AnswerGone
            | Self::Refused(_)
            | Self::NotAJob
            | Self::JobRunning
            | Self::JobNotEnded
            | Self::BodyTooLarge
            | Self::IdempotencyMismatch
            | Self::Cancelled
            | Self::Job(_)
            | Self::Target(_)
            | Self::Internal => None,
        }
    }
}

/// Returns the status for a job that failed before its answer began.
const fn job_status(kind: FailureKind) -> u16 {
    match kind {
        FailureKind::TargetUnreachable
        | FailureKind::TargetTls
        | FailureKind::ClosedBeforeHead
        | FailureKind::Truncated
        | FailureKind::Incomplete
        | FailureKind::TargetTransient
        | FailureKind::TargetError
        | FailureKind::TargetRejected
        | FailureKind::BadResponse
        | FailureKind::LineTooLong
        | FailureKind::OutputTooLarge => 502,
        FailureKind::FirstByteTimeout
        | FailureKind::Stalled
        | FailureKind::RunTimeout
        | FailureKind::Expired => 504,
        FailureKind::TargetBusy => 503,
        FailureKind::StorageRead | FailureKind::Poison | FailureKind::Panic => 500,
    }
}

/// Returns status and code for a request that was passed through in vain; the codes are those of
/// jobs that fail the same way.
const fn target_status_and_code(kind: ErrorKind) -> (u16, &'static str) {
    match kind {
        ErrorKind::Refused | ErrorKind::Unreachable | ErrorKind::ConnectTimeout => {
            (502, FailureKind::TargetUnreachable.code())
        }
        ErrorKind::Tls => (502, FailureKind::TargetTls.code()),
        ErrorKind::ClosedBeforeHead => (502, FailureKind::ClosedBeforeHead.code()),
        ErrorKind::Truncated => (502, FailureKind::Truncated.code()),
        ErrorKind::InvalidResponse => (502, FailureKind::BadResponse.code()),
        ErrorKind::FirstByteTimeout => (504, FailureKind::FirstByteTimeout.code()),
        ErrorKind::IdleTimeout => (504, FailureKind::Stalled.code()),
        ErrorKind::RequestBody => (400, "body_broken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_a_job_is_an_error_status_with_its_own_code() {
        for kind in FailureKind::ALL {
            let (status, code) = Fault::Job(kind).status_and_code();

            assert!((500..600).contains(&status), "{kind}");
            assert_eq!(code, kind.code());
        }
    }

    #[test]
    fn what_is_passed_through_fails_with_the_codes_of_jobs() {
        assert_eq!(
            Fault::Target(ErrorKind::Refused).status_and_code(),
            Fault::Job(FailureKind::TargetUnreachable).status_and_code()
        );
        assert_eq!(
            Fault::Target(ErrorKind::FirstByteTimeout).status_and_code(),
            Fault::Job(FailureKind::FirstByteTimeout).status_and_code()
        );
    }
}
