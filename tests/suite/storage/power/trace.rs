//! What reached the disk, in its order, as the preloaded library wrote it down.
#![expect(clippy::panic, reason = "a trace that cannot be read fails the test")]

use std::ops::Range;

use foreman_job::JobId;

/// The files of a database; the numbers are the library's.
pub(super) const DATABASE: u8 = 1;
pub(super) const LOG: u8 = 2;
pub(super) const JOURNAL: u8 = 3;
pub(super) const DIRECTORY: u8 = 4;

/// Bytes of a record before its data.
const HEAD: usize = 16;

/// All that was written down, with the bytes that were written.
pub(super) struct Trace {
    bytes: Vec<u8>,
    pub(super) calls: Vec<Call>,
}

/// One call that succeeded, or a mark of the test.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Create(u8),
    Write {
        file: u8,
        offset: u64,
        data: Range<usize>,
    },
    Truncate {
        file: u8,
        length: u64,
    },
    Sync(u8),
    Unlink(u8),
    Mark(Told),
}

/// What a caller had been told at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Accepted(JobId),
    Done(JobId),
    Cancelled(JobId),
    /// From now on bodies of ended jobs are forgotten.
    Purging,
}

impl Trace {
    pub(super) fn read(bytes: Vec<u8>) -> Self {
        let mut calls = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let head = &bytes[at..at + HEAD];
            let length = usize::try_from(u32::from_ne_bytes(head[4..8].try_into().unwrap()));
            let offset = u64::from_ne_bytes(head[8..16].try_into().unwrap());
            let data = at + HEAD..at + HEAD + length.unwrap();
            at = data.end;
            let file = head[1];
            calls.push(match head[0] {
                b'O' => Call::Create(file),
                b'W' => Call::Write { file, offset, data },
                b'T' => Call::Truncate {
                    file,
                    length: offset,
                },
                b'S' => Call::Sync(file),
                b'U' => Call::Unlink(file),
                b'M' => Call::Mark(Told::read(&bytes[data])),
                other => panic!("a record of kind {other}"),
            });
        }
        Self { bytes, calls }
    }

    pub(super) fn data(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }
}

impl Told {
    pub(super) fn text(self) -> String {
        match self {
            Self::Accepted(id) => format!("accepted {id}"),
            Self::Done(id) => format!("done {id}"),
            Self::Cancelled(id) => format!("cancelled {id}"),
            Self::Purging => "purging".to_owned(),
        }
    }

    fn read(text: &[u8]) -> Self {
        let text = std::str::from_utf8(text).unwrap();
        let (word, id) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "accepted" => Self::Accepted(id.parse().unwrap()),
            "done" => Self::Done(id.parse().unwrap()),
            "cancelled" => Self::Cancelled(id.parse().unwrap()),
            "purging" => Self::Purging,
            other => panic!("a mark {other}"),
        }
    }
}
