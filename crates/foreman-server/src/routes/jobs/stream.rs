//! The log of a job as a stream of events, one a line.

use bytes::Bytes;
use foreman_job::{JobId, JobState};
use foreman_scheduler::Follower;
use foreman_store::{FIRST_EVENT, LogEntry, LogEvent, LogPage};
use futures_util::stream;
use http::header::{self, HeaderValue};
use serde::Serialize;

use super::estimate::Estimate;
use super::object::{self, ErrorObject};
use super::{pruned, query, unknown};
use crate::app::Call;
use crate::error::ApiError;
use crate::response::{self, Body, Response};
use crate::shape;

/// A line of the stream.
#[derive(Debug, Serialize)]
struct Line<'a> {
    n: u64,
    attempt: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

/// A caller that reads the log of a job.
struct Reader {
    follower: Follower,
    /// What was read and not given yet.
    ready: Option<LogPage>,
    follow: bool,
    /// The number of the last event that was given.
    last: u64,
    position: Option<u64>,
}

/// Answers with the events after one, and goes on with those to come if that is wanted.
pub(super) async fn answer(call: &Call, id: JobId) -> Result<Response, ApiError> {
    let mut query = query(call)?;
    let after = query.value("starting_after", "expected the number of an event", |it| {
        it.parse().ok()
    })?;
    let follow = query.value("follow", "expected true or false", |it| it.parse().ok())?;
    query.finish()?;
    let after = after.unwrap_or_default();
    let mut follower = call.app.scheduler.follow(id, after);
    let page = follower.read().await;
    let page = page.map_err(|error| ApiError::store(&error))?;
    let page = page.ok_or_else(|| unknown(id))?;
    if page.pruned {
        return Err(pruned(id));
    }
    let reader = Reader {
        follower,
        position: Estimate::of(&call.app, &page.job).await.position,
        ready: Some(page),
        follow: follow.unwrap_or_default(),
        last: after,
    };
    Ok(reader.response(id))
}

impl Reader {
    fn response(self, id: JobId) -> Response {
        let stream = stream::unfold(Some(self), async |reader| reader?.step().await);
        // A page at a time.
        let body = Body::stream(stream, None);
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/x-ndjson");
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(shape::JOB_ID, shape::job_header(id));
        response.extensions_mut().insert(id);
        response::set_status(&mut response, 200);
        response
    }

    /// Gives the next events, and itself where more may follow.
    async fn step(mut self) -> Option<(Bytes, Option<Self>)> {
        let page = match self.ready.take() {
            Some(page) if !page.entries.is_empty() => page,
            Some(_) if !self.follow => return None,
            Some(_) | None => self.more().await?,
        };
        if page.pruned {
            let end = LogEntry {
                n: self.last.saturating_add(1),
                attempt: page.job.progress.attempt,
                event: LogEvent::End {
                    state: page.job.progress.state,
                    failure: page.job.failure,
                },
            };
            return Some((Bytes::from(self.line(&end)), None));
        }
        let lines: String = page.entries.iter().map(|entry| self.line(entry)).collect();
        self.last = page.entries.last()?.n;
        let more = (!page.is_last()).then_some(self);
        Some((Bytes::from(lines), more))
    }

    /// Reads on; none when nothing will come, or for now nothing more is wanted.
    async fn more(&mut self) -> Option<LogPage> {
        let page = if self.follow {
            self.follower.next().await
        } else {
            self.follower.read().await
        };
        match page {
            Ok(page) => page.filter(|page| page.pruned || !page.entries.is_empty()),
            Err(error) => {
                // Without an end: the caller asks again where it was.
                tracing::warn!(%error, "cannot read the log of a job");
                None
            }
        }
    }

    fn line(&self, entry: &LogEntry) -> String {
        let mut line = Line {
            n: entry.n,
            attempt: attempt(entry),
            kind: "state",
            state: None,
            position: None,
            data: None,
            data_base64: None,
            error: None,
        };
        match &entry.event {
            LogEvent::State(state) => {
                line.state = Some(state.as_str());
                // A place in the queue is one of now: in an old event it would mislead.
                let is_now = *state == JobState::Queued;
                line.position = self.position.filter(|_| is_now);
            }
            LogEvent::Reset => line.kind = "reset",
            LogEvent::Chunk(bytes) => {
                line.kind = "chunk";
                match std::str::from_utf8(bytes) {
                    Ok(text) => line.data = Some(text),
                    Err(_) => line.data_base64 = Some(base64(bytes)),
                }
            }
            LogEvent::End { state, failure } => {
                line.kind = "end";
                line.state = Some(state.as_str());
                line.error = failure.as_ref().map(ErrorObject::new);
            }
        }
        let mut text = object::text(&line);
        text.push('\n');
        text
    }
}

/// Returns the number of the attempt that an event belongs to; none was made before the first.
fn attempt(entry: &LogEntry) -> u32 {
    let made = match &entry.event {
        LogEvent::State(JobState::Queued) => entry.n > FIRST_EVENT,
        LogEvent::End { state, .. } => *state == JobState::Done,
        LogEvent::State(_) | LogEvent::Reset | LogEvent::Chunk(_) => true,
    };
    entry.attempt.saturating_add(u32::from(made))
}

/// Writes base64 of the standard alphabet.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for place in 0..3 {
            bits = (bits << 8) | u32::from(group.get(place).copied().unwrap_or_default());
        }
        for place in 0..4_usize {
            let index = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap_or_default();
            let letter = LETTERS.get(index).copied().map_or('=', char::from);
            text.push(if place > group.len() { '=' } else { letter });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"", "")]
    #[case(b"f", "Zg==")]
    #[case(b"fo", "Zm8=")]
    #[case(b"foo", "Zm9v")]
    #[case(b"foob", "Zm9vYg==")]
    #[case(b"\x00\xff\xfe\x80", "AP/+gA==")]
    fn base64_is_the_standard_one(#[case] bytes: &[u8], #[case] expected: &str) {
        assert_eq!(base64(bytes), expected);
    }
}
