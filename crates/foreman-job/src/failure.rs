//! What can go wrong with an attempt, and what that means for the job.

use std::fmt;

/// Why an attempt, or a job that was never dispatched, failed.
///
/// The class is decided where the failure is seen, from what was observed and never from the
/// status 500 alone: Ollama answers 500 to wrong option types (for ever) and to a crashed runner
/// (once).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The connection was refused, the host unreachable, or connecting took too long.
    TargetUnreachable,
    /// The target's certificate or TLS handshake was not acceptable: a matter of settings.
    TargetTls,
    /// The connection ended after the request was sent and before the head of the answer.
    ClosedBeforeHead,
    /// The target was silent for longer than the first-byte limit.
    FirstByteTimeout,
    /// The answer stopped for longer than the idle limit.
    Stalled,
    /// The connection broke within the answer.
    Truncated,
    /// The target ended its answer properly, but without the marker of a complete one.
    Incomplete,
    /// The attempt ran longer than it may in all.
    RunTimeout,
    /// The target says that it is busy (429 or 503).
    TargetBusy,
    /// A status that often passes (408, 425, 502, 504).
    TargetTransient,
    /// The target failed in a way that may pass: a 500 for a crashed runner or a failed load.
    TargetError,
    /// The target refused this request and would again (4xx, or a 500 that is known to repeat).
    TargetRejected,
    /// The answer was not what the route promises (a page of HTML, broken chunks).
    BadResponse,
    /// One line of the answer was longer than any client reads.
    LineTooLong,
    /// The answer was longer than foreman keeps.
    OutputTooLarge,
    /// The stored request could not be read back.
    StorageRead,
    /// The job was not started before its own expiry.
    Expired,
    /// The job was running at several crashes of foreman.
    Poison,
    /// Foreman's own code failed while running the job.
    Panic,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureSource {
    /// Foreman refused or gave up by its own rules.
    Foreman,
    /// The target answered with, or caused, the failure.
    Target,
}

/// A failure as it is kept with its job and shown to its caller.
///
/// The message never holds a prompt, an answer or a secret of foreman's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFailure {
    /// The class.
    pub kind: FailureKind,
    /// What happened, for people.
    pub message: String,
}

impl FailureKind {
    /// All classes.
    pub const ALL: [Self; 19] = [
        Self::TargetUnreachable,
        Self::TargetTls,
        Self::ClosedBeforeHead,
        Self::FirstByteTimeout,
        Self::Stalled,
        Self::Truncated,
        Self::Incomplete,
        Self::RunTimeout,
        Self::TargetBusy,
        Self::TargetTransient,
        Self::TargetError,
        Self::TargetRejected,
        Self::BadResponse,
        Self::LineTooLong,
        Self::OutputTooLarge,
        Self::StorageRead,
        Self::Expired,
        Self::Poison,
        Self::Panic,
    ];

    /// Returns the code used in the database, the API and the logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TargetUnreachable => "target_unreachable",
            Self::TargetTls => "target_tls",
            Self::ClosedBeforeHead => "target_closed",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::Stalled => "stalled",
            Self::Truncated => "truncated",
            Self::Incomplete => "incomplete",
            Self::RunTimeout => "run_timeout",
            Self::TargetBusy => "target_busy",
            Self::TargetTransient => "target_transient",
            Self::TargetError => "target_error",
            Self::TargetRejected => "target_rejected",
            Self::BadResponse => "bad_response",
            Self::LineTooLong => "line_too_long",
            Self::OutputTooLarge => "output_too_large",
            Self::StorageRead => "storage_read",
            Self::Expired => "expired",
            Self::Poison => "poison",
            Self::Panic => "internal",
        }
    }

    /// Finds the class of a stored code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Tells whose fault it is.
    pub const fn source(self) -> FailureSource {
        match self {
            Self::TargetUnreachable
            | Self::TargetTls
            | Self::ClosedBeforeHead
            | Self::FirstByteTimeout
            | Self::Stalled
            | Self::Truncated
            | Self::Incomplete
            | Self::TargetBusy
            | Self::TargetTransient
            | Self::TargetError
            | Self::TargetRejected
            | Self::BadResponse
            | Self::LineTooLong => FailureSource::Target,
            Self::RunTimeout
            | Self::OutputTooLarge
            | Self::StorageRead
            | Self::Expired
            | Self::Poison
            | Self::Panic => FailureSource::Foreman,
        }
    }

    /// Tells whether the same request may succeed when it is sent again.
    pub const fn is_transient(self) -> bool {
        self.attempt_limit() > 1
    }

    /// Returns how many attempts that end this way a job may have at most.
    ///
    /// The general bound of the retry policy applies as well. Connection failures and passing
    /// statuses have no bound of their own; a timeout is tried once more, a failing load twice.
    pub const fn attempt_limit(self) -> u32 {
        match self {
            Self::TargetUnreachable
            | Self::TargetTls
            | Self::ClosedBeforeHead
            | Self::Truncated
            | Self::TargetBusy
            | Self::TargetTransient => u32::MAX,
            Self::TargetError => 3,
            Self::FirstByteTimeout | Self::Stalled | Self::BadResponse => 2,
            Self::RunTimeout
            | Self::Incomplete
            | Self::TargetRejected
            | Self::LineTooLong
            | Self::OutputTooLarge
            | Self::StorageRead
            | Self::Expired
            | Self::Poison
            | Self::Panic => 1,
        }
    }

    /// Tells whether such a failure counts as an attempt of the job that met it.
    ///
    /// A busy target and a wrong certificate are no fault of the job: it waits.
    pub const fn spends_attempt(self) -> bool {
        !matches!(self, Self::TargetBusy | Self::TargetTls)
    }

    /// Tells whether nothing more should be sent to the target until it answers a probe.
    pub const fn opens_breaker(self) -> bool {
        matches!(
            self,
            Self::TargetUnreachable | Self::TargetTls | Self::TargetBusy
        )
    }
}

impl FailureSource {
    /// Returns the word used in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreman => "foreman",
            Self::Target => "target",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl JobFailure {
    /// Makes a failure from its class and a message for people.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_again_and_none_is_used_twice() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_code(kind.code()), Some(kind));
        }
    }

    #[test]
    fn what_opens_the_breaker_is_worth_another_try() {
        for kind in FailureKind::ALL
            .into_iter()
            .filter(|kind| kind.opens_breaker())
        {
            assert!(kind.is_transient(), "{kind}");
        }
    }
}
