//! Where a list goes on.

use sha2::{Digest, Sha256};

/// Where a list goes on: a place in the queue, and a mark of what was filtered.
///
/// It is written so that nobody takes it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) before: i64,
    pub(super) filter: [u8; 4],
}

/// Makes the mark of a filter.
pub(super) fn mark(filter: &[Option<&str>]) -> [u8; 4] {
    let mut hash = Sha256::new();
    for part in filter {
        // What is left out differs from what is empty.
        match part {
            Some(text) => {
                hash.update([1]);
                hash.update(text.as_bytes());
            }
            None => hash.update([0]),
        }
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

impl Cursor {
    pub(super) fn write(self) -> String {
        let [a, b, c, d] = self.filter;
        let filter = u32::from_be_bytes([a, b, c, d]);
        format!("{:016x}{filter:08x}", self.before)
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let is_plain = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (before, filter) = text.split_at_checked(16).filter(|_| is_plain)?;
        Some(Self {
            before: i64::from_str_radix(before, 16).ok()?,
            filter: u32::from_str_radix(filter, 16).ok()?.to_be_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for before in [0, 7, i64::MAX] {
            let cursor = Cursor {
                before,
                filter: mark(&[Some("done"), None]),
            };

            assert_eq!(Cursor::read(&cursor.write()), Some(cursor));
        }
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        for text in [
            "",
            "17",
            "+0000000000000000000000a",
            "gggggggggggggggggggggggg",
            "é",
        ] {
            assert_eq!(Cursor::read(text), None, "{text}");
        }
    }

    #[test]
    fn other_filters_have_other_marks() {
        let marks = [
            mark(&[None, Some("a")]),
            mark(&[Some("a"), None]),
            mark(&[Some(""), Some("a")]),
        ];

        assert!(marks[0] != marks[1] && marks[1] != marks[2] && marks[0] != marks[2]);
    }
}
