//! The public name of a job.

use std::fmt;
use std::str::FromStr;

use crate::{Random, Timestamp};

/// The public name of a job: a ULID.
///
/// It is unique and sorts roughly by age, but it is not the queue's order (clocks go back) and
/// not a secret (its time part can be guessed).
///
/// ```
/// use foreman_job::JobId;
///
/// let id: JobId = "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC".parse()?;
/// assert_eq!(id.to_string(), "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC");
/// assert!("not-an-id".parse::<JobId>().is_err());
/// # Ok::<(), foreman_job::MalformedId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(ulid::Ulid);

/// A text that is no job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed job id: expected a ULID of 26 characters")]
pub struct MalformedId;

impl JobId {
    /// Makes an id from a time and a source of randomness.
    pub fn generate(now: Timestamp, random: &dyn Random) -> Self {
        let low = u128::from(random.next_u64());
        let high = u128::from(random.next_u64());
        let ms = u64::try_from(now.as_millis()).unwrap_or_default();
        Self(ulid::Ulid::from_parts(ms, (high << 64) | low))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({})", self.0)
    }
}

impl FromStr for JobId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, MalformedId> {
        // Letters beyond it would be cut off, and an id would have several spellings.
        if !text.starts_with(|first: char| ('0'..='7').contains(&first)) {
            return Err(MalformedId);
        }
        ulid::Ulid::from_string(text)
            .map(Self)
            .map_err(|_| MalformedId)
    }
}

impl serde::Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u64);

    impl Random for Fixed {
        fn next_u64(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn an_id_survives_its_text_form() {
        let id = JobId::generate(Timestamp::from_millis(1_795_225_898_123), &Fixed(7));

        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
        assert_eq!(id.to_string().len(), 26);
    }

    #[test]
    fn ids_of_later_milliseconds_sort_later() {
        let early = JobId::generate(Timestamp::from_millis(1_000), &Fixed(u64::MAX));
        let late = JobId::generate(Timestamp::from_millis(1_001), &Fixed(0));

        assert!(early < late);
    }

    #[test]
    fn path_tricks_are_no_ids() {
        for text in [
            "",
            "../../etc/passwd",
            "01J9Z3N6T5Q8W0V2X4Y6Z8A0B",
            "01J9Z3N6T5Q8W0V2X4Y6Z8A0B\u{e9}",
            "81J9Z3N6T5Q8W0V2X4Y6Z8A0BC",
            "ZZZZZZZZZZZZZZZZZZZZZZZZZZ",
        ] {
            assert_eq!(text.parse::<JobId>(), Err(MalformedId), "{text}");
        }
    }
}
