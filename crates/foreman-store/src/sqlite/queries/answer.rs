//! Answers as rows: exact chunk boundaries at little cost per chunk.

use bytes::Bytes;
use foreman_job::Usage;
use foreman_job::lifecycle::Epoch;
use rusqlite::{Connection, OptionalExtension, named_params};

use crate::sqlite::rows;
use crate::{AnswerHead, StoreError, StoredAnswer};

const INSERT_HEAD: &str = "\
INSERT INTO job_answers (seq, status, headers)
VALUES (:seq, :status, :headers)";

const INSERT_CHUNKS: &str = "\
INSERT INTO job_chunks (seq, n, epoch, lengths, data)
VALUES (:seq, :n, :epoch, :lengths, :data)";

const READ_HEAD: &str = "\
SELECT status, headers
FROM job_answers
WHERE seq = :seq";

const READ_CHUNKS: &str = "\
SELECT lengths, data
FROM job_chunks
WHERE seq = :seq
ORDER BY n";

/// A row takes chunks up to this size; a longer one gets a row of its own.
const ROW_BYTES: usize = 32 * 1024;

/// Writes the answer of a run.
pub(super) fn insert(
    conn: &Connection,
    seq: i64,
    epoch: Epoch,
    answer: &StoredAnswer,
) -> Result<(), StoreError> {
    conn.prepare_cached(INSERT_HEAD)?.execute(named_params! {
        ":seq": seq,
        ":status": answer.head.status,
        ":headers": rows::headers_to_text(&answer.head.headers)?,
    })?;
    let mut statement = conn.prepare_cached(INSERT_CHUNKS)?;
    for (n, row) in pack(&answer.chunks).into_iter().enumerate() {
        let lengths = serde_json::to_string(&row.lengths)
            .map_err(|error| StoreError::Database(Box::new(error)))?;
        statement.execute(named_params! {
            ":seq": seq,
            ":n": i64::try_from(n).unwrap_or(i64::MAX),
            ":epoch": rows::signed(epoch.get()),
            ":lengths": lengths,
            ":data": row.data,
        })?;
    }
    Ok(())
}

/// Reads the answer of a job; none when it has none any more.
pub(super) fn read(
    conn: &Connection,
    seq: i64,
    usage: Option<Usage>,
) -> Result<Option<StoredAnswer>, StoreError> {
    let head: Option<(u16, String)> = conn
        .prepare_cached(READ_HEAD)?
        .query_row(named_params! {":seq": seq}, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((status, headers)) = head else {
        return Ok(None);
    };
    let mut chunks = Vec::new();
    let mut statement = conn.prepare_cached(READ_CHUNKS)?;
    let mut found = statement.query(named_params! {":seq": seq})?;
    while let Some(row) = found.next()? {
        let lengths: String = row.get(0)?;
        unpack(&lengths, row.get::<_, Vec<u8>>(1)?, &mut chunks)?;
    }
    Ok(Some(StoredAnswer {
        head: AnswerHead {
            status,
            headers: rows::headers_from_text(&headers)?,
        },
        chunks,
        usage,
    }))
}

/// Several chunks one after the other, and where each ends.
#[derive(Debug, Default)]
struct Packed {
    lengths: Vec<usize>,
    data: Vec<u8>,
}

fn pack(chunks: &[Bytes]) -> Vec<Packed> {
    let mut packed = Vec::new();
    let mut row = Packed::default();
    for chunk in chunks {
        if !row.lengths.is_empty() && row.data.len().saturating_add(chunk.len()) > ROW_BYTES {
            packed.push(std::mem::take(&mut row));
        }
        row.lengths.push(chunk.len());
        row.data.extend_from_slice(chunk);
    }
    if !row.lengths.is_empty() {
        packed.push(row);
    }
    packed
}

fn unpack(lengths: &str, data: Vec<u8>, chunks: &mut Vec<Bytes>) -> Result<(), StoreError> {
    let damaged = || StoreError::Damaged("chunks of an answer do not add up".to_owned());
    let lengths: Vec<usize> = serde_json::from_str(lengths).map_err(|_| damaged())?;
    let mut data = Bytes::from(data);
    for length in lengths {
        if length > data.len() {
            return Err(damaged());
        }
        chunks.push(data.split_to(length));
    }
    if data.is_empty() {
        Ok(())
    } else {
        Err(damaged())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn boundaries_survive_packing(sizes in prop::collection::vec(prop_oneof![0..40_usize, 0..70_000_usize], 0..20)) {
            let chunks: Vec<Bytes> = sizes
                .iter()
                .map(|size| Bytes::from(vec![u8::try_from(size % 251).unwrap(); *size]))
                .collect();

            let mut back = Vec::new();
            for row in pack(&chunks) {
                let lengths = serde_json::to_string(&row.lengths).unwrap();
                unpack(&lengths, row.data, &mut back).unwrap();
            }

            prop_assert_eq!(back, chunks);
        }
    }

    #[test]
    fn lengths_that_do_not_add_up_are_damage() {
        for lengths in ["[3]", "[5]", "[2,3]", "4", "[-1]"] {
            let outcome = unpack(lengths, b"four".to_vec(), &mut Vec::new());

            assert!(matches!(outcome, Err(StoreError::Damaged(_))), "{lengths}");
        }
    }
}
