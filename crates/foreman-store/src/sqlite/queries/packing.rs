//! Events as rows: exact chunk boundaries at little cost per chunk.

use std::fmt::{Display, Write};

use bytes::Bytes;
use foreman_job::JobState;
use serde_json::Value;

use crate::{LogEvent, StoreError};

/// A row takes chunks up to this size; a longer one gets a row of its own.
const ROW_BYTES: usize = 32 * 1024;

/// Room for the names of a quick run's events.
const KINDS: usize = 64;

const RESET: &str = "reset";

/// Several events one after the other: what each is, and the bytes of those that are chunks.
#[derive(Debug, Default)]
pub(super) struct Packed {
    events: u64,
    /// What they are, without the brackets around it.
    kinds: String,
    pub(super) data: Vec<u8>,
}

impl Packed {
    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// Names each event, as a JSON array.
    pub(super) fn kinds(&self) -> String {
        ["[", &self.kinds, "]"].concat()
    }

    fn push(&mut self, kind: impl Display) {
        let comma = if self.events == 0 {
            self.kinds.reserve(KINDS);
            ""
        } else {
            ","
        };
        self.events = self.events.saturating_add(1);
        // A text takes whatever is written.
        let _written = write!(self.kinds, "{comma}{kind}");
    }

    fn push_word(&mut self, word: &str) {
        self.push(format_args!("\"{word}\""));
    }
}

/// Puts events into rows. An end is no event of a run, and left out.
pub(super) fn pack(events: &[LogEvent]) -> Vec<Packed> {
    let mut packed = Vec::new();
    let mut row = Packed::default();
    for event in events {
        match event {
            LogEvent::State(state) => row.push_word(state.as_str()),
            LogEvent::Reset => row.push_word(RESET),
            LogEvent::Chunk(chunk) => {
                let is_full = row.data.len().saturating_add(chunk.len()) > ROW_BYTES;
                if !row.data.is_empty() && is_full {
                    packed.push(std::mem::take(&mut row));
                }
                row.push(chunk.len());
                row.data.extend_from_slice(chunk);
            }
            LogEvent::End { .. } => {}
        }
    }
    if row.events > 0 {
        packed.push(row);
    }
    packed
}

/// Takes a row apart.
pub(super) fn unpack(kinds: &str, data: Vec<u8>) -> Result<Vec<LogEvent>, StoreError> {
    let kinds: Vec<Value> = serde_json::from_str(kinds).map_err(|_| damaged())?;
    let mut data = Bytes::from(data);
    let events = kinds
        .iter()
        .map(|kind| event(kind, &mut data).ok_or_else(damaged))
        .collect::<Result<Vec<_>, _>>()?;
    if data.is_empty() {
        Ok(events)
    } else {
        Err(damaged())
    }
}

fn event(kind: &Value, data: &mut Bytes) -> Option<LogEvent> {
    if let Some(text) = kind.as_str() {
        return if text == RESET {
            Some(LogEvent::Reset)
        } else {
            text.parse::<JobState>().ok().map(LogEvent::State)
        };
    }
    let length = usize::try_from(kind.as_u64()?).ok()?;
    (length <= data.len()).then(|| LogEvent::Chunk(data.split_to(length)))
}

fn damaged() -> StoreError {
    StoreError::Damaged("events of a log do not add up".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> impl Strategy<Value = LogEvent> {
        prop_oneof![
            1 => Just(LogEvent::Reset),
            2 => prop::sample::select(vec![JobState::Queued, JobState::Loading, JobState::Working])
                .prop_map(LogEvent::State),
            8 => prop_oneof![0..40_usize, 0..70_000_usize].prop_map(|size| {
                LogEvent::Chunk(Bytes::from(vec![u8::try_from(size % 251).unwrap(); size]))
            }),
        ]
    }

    proptest! {
        #[test]
        fn boundaries_survive_packing(events in prop::collection::vec(event(), 0..20)) {
            let mut back = Vec::new();
            for row in pack(&events) {
                back.append(&mut unpack(&row.kinds(), row.data).unwrap());
            }

            prop_assert_eq!(back, events);
        }
    }

    #[test]
    fn small_chunks_share_a_row_and_a_long_one_has_its_own() {
        for (sizes, rows) in [
            (&[10_000, 10_000, 10_000, 10_000][..], &[3, 1][..]),
            (&[10_000, 100_000, 10_000], &[1, 1, 1]),
            (&[32_767, 1, 1], &[2, 1]),
            (&[0, 32_768, 0, 1], &[3, 1]),
        ] {
            let chunk = |size: &usize| LogEvent::Chunk(Bytes::from(vec![b'x'; *size]));
            let events: Vec<LogEvent> = sizes.iter().map(chunk).collect();

            let packed = pack(&events);

            assert!(packed.iter().map(Packed::events).eq(rows.iter().copied()));
        }
    }

    #[test]
    fn what_does_not_add_up_is_damage() {
        for kinds in [
            "[3]",
            "[5]",
            "[2,3]",
            "4",
            "[-1]",
            "[4,\"gone\"]",
            "[4,null]",
        ] {
            let outcome = unpack(kinds, b"four".to_vec());

            assert!(matches!(outcome, Err(StoreError::Damaged(_))), "{kinds}");
        }
    }
}
