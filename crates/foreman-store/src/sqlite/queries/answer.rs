//! Answers: the head with the end of the job, the body in the log of its run.

use bytes::Bytes;
use foreman_job::Job;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::journal;
use crate::sqlite::rows;
use crate::{AnswerHead, LogEvent, StoreError, StoredAnswer};

const READ_HEAD: &str = "\
SELECT status, headers
FROM job_ends
WHERE seq = :seq AND status IS NOT NULL";

/// Reads the answer of a job; none when it has none any more.
pub(super) fn read(conn: &Connection, job: &Job) -> Result<Option<StoredAnswer>, StoreError> {
    let Some(head) = read_head(conn, job.seq)? else {
        return Ok(None);
    };
    let events = journal::of_run(conn, job.seq, job.progress.epoch)?;
    Ok(Some(StoredAnswer {
        head,
        chunks: events.into_iter().filter_map(chunk).collect(),
        usage: job.usage,
    }))
}

/// Reads the head of an answer.
pub(super) fn read_head(conn: &Connection, seq: i64) -> Result<Option<AnswerHead>, StoreError> {
    let head: Option<(u16, String)> = conn
        .prepare_cached(READ_HEAD)?
        .query_row(named_params! {":seq": seq}, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((status, headers)) = head else {
        return Ok(None);
    };
    Ok(Some(AnswerHead {
        status,
        headers: rows::headers_from_text(&headers)?,
    }))
}

fn chunk(event: LogEvent) -> Option<Bytes> {
    match event {
        LogEvent::Chunk(bytes) => Some(bytes),
        LogEvent::State(_) | LogEvent::Reset | LogEvent::End { .. } => None,
    }
}
