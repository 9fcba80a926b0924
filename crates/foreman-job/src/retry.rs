//! Whether and when a failed attempt is repeated.

use std::time::Duration;

use crate::FailureKind;

/// How often, and after what pauses, a failed attempt is repeated.
///
/// The pause before the second attempt is about [`base`](Self::base) and doubles from attempt to
/// attempt up to [`max`](Self::max); each is spread by ± 50 % so that jobs that failed together do
/// not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts that may fail before the job does; at least one.
    pub max_attempts: u32,
    /// The first pause.
    pub base: Duration,
    /// The longest pause.
    pub max: Duration,
}

/// What becomes of a job whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// It goes back to the queue.
    Retry {
        /// Whether the attempt counts.
        spends_attempt: bool,
        /// How long the job rests; zero when only the breaker decides.
        delay: Duration,
    },
    /// It fails for good.
    Fail,
}

impl Default for RetryPolicy {
    /// Five attempts, half a second up to half a minute: a chat is watched by a person.
    fn default() -> Self {
        Self {
            max_attempts: 5,
            base: Duration::from_millis(500),
            max: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Judges a failed attempt.
    ///
    /// `failed_before` counts the attempts of this job that failed before this one. `forwarded`
    /// says that the caller has seen a part of the answer: then nothing is repeated, since the
    /// parts of two attempts must not be mixed. `unit` is a random number from 0 to 1.
    pub fn decide(
        &self,
        kind: FailureKind,
        failed_before: u32,
        forwarded: bool,
        unit: f64,
    ) -> RetryDecision {
        if forwarded || !kind.is_transient() {
            return RetryDecision::Fail;
        }
        if !kind.spends_attempt() {
            return RetryDecision::Retry {
                spends_attempt: false,
                delay: Duration::ZERO,
            };
        }
        let failed = failed_before.saturating_add(1);
        if failed >= self.max_attempts.min(kind.attempt_limit()) {
            return RetryDecision::Fail;
        }
        RetryDecision::Retry {
            spends_attempt: true,
            delay: self.delay(failed, unit),
        }
    }

    /// Returns the pause after the given number of failed attempts.
    pub fn delay(&self, failed: u32, unit: f64) -> Duration {
        backoff(self.base, self.max, failed, unit)
    }
}

/// Doubles `base` per failure up to `max`, spread by ± 50 % and never above `max`.
pub fn backoff(base: Duration, max: Duration, failures: u32, unit: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let nominal = base.saturating_mul(1_u32 << doublings).min(max);
    nominal.mul_f64(0.5 + unit.clamp(0.0, 1.0)).min(max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 5,
        base: Duration::from_millis(500),
        max: Duration::from_secs(30),
    };

    #[test]
    fn a_refused_connection_is_tried_until_the_attempts_are_spent() {
        for failed_before in 0..4 {
            let decision = POLICY.decide(FailureKind::TargetUnreachable, failed_before, false, 0.5);
            assert!(
                matches!(
                    decision,
                    RetryDecision::Retry {
                        spends_attempt: true,
                        ..
                    }
                ),
                "{failed_before}"
            );
        }
        assert_eq!(
            POLICY.decide(FailureKind::TargetUnreachable, 4, false, 0.5),
            RetryDecision::Fail
        );
    }

    #[test]
    fn a_busy_target_spends_no_attempt_however_often() {
        let decision = POLICY.decide(FailureKind::TargetBusy, 1_000, false, 0.5);

        assert_eq!(
            decision,
            RetryDecision::Retry {
                spends_attempt: false,
                delay: Duration::ZERO
            }
        );
    }

    #[test]
    fn nothing_is_repeated_once_a_byte_was_forwarded() {
        for kind in FailureKind::ALL {
            assert_eq!(
                POLICY.decide(kind, 0, true, 0.5),
                RetryDecision::Fail,
                "{kind}"
            );
        }
    }

    #[test]
    fn each_class_has_its_own_bound() {
        let table = [
            (FailureKind::TargetError, 3),
            (FailureKind::FirstByteTimeout, 2),
            (FailureKind::Stalled, 2),
            (FailureKind::BadResponse, 2),
            (FailureKind::TargetRejected, 1),
            (FailureKind::RunTimeout, 1),
            (FailureKind::ClosedBeforeHead, 5),
            (FailureKind::Truncated, 5),
            (FailureKind::TargetTransient, 5),
        ];
        for (kind, attempts) in table {
            let failed = (0..10)
                .take_while(|&before| {
                    POLICY.decide(kind, before, false, 0.5) != RetryDecision::Fail
                })
                .count();
            assert_eq!(failed + 1, attempts, "{kind}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u128> = (1..9)
            .map(|failed| POLICY.delay(failed, 0.5).as_millis())
            .collect();

        assert_eq!(
            pauses,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
        );
    }

    proptest! {
        #[test]
        fn a_pause_is_within_half_and_one_and_a_half_of_its_nominal_length(failed in 1_u32..200, unit in 0.0_f64..1.0) {
            let pause = POLICY.delay(failed, unit);
            let nominal = POLICY.delay(failed, 0.5);

            prop_assert!(pause >= nominal.mul_f64(0.499));
            prop_assert!(pause <= nominal.mul_f64(1.501).min(POLICY.max));
        }
    }
}
