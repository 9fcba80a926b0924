//! The body of a job's answer on its way to a caller.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use foreman_job::JobId;
use foreman_scheduler::{First, Opening, Output, OutputSize, Ticket};
use futures_util::stream;
use tokio::time::sleep;

use crate::deliveries::Held;
use crate::error::ApiError;
use crate::metrics::Counted;
use crate::response::Body;
use crate::shape::Lines;

/// The body of a job's answer.
///
/// Each chunk of the target is one chunk here. It always ends properly: where the answer broke
/// off, with one line that says so.
struct JobBody {
    job: JobId,
    lines: Lines,
    stage: Stage,
    /// The last bytes that were given.
    end: Vec<u8>,
    chunks: usize,
}

enum Stage {
    /// Nothing came yet; the caller is given a sign of life now and then.
    Waiting {
        first: Pin<Box<dyn Future<Output = First> + Send>>,
        beat: Duration,
        sign: &'static str,
        _counted: Counted,
    },
    Running(Output),
    Over,
}

/// Makes the body of an answer that comes in chunks.
pub(crate) fn streamed(output: Output, lines: Lines) -> Body {
    let size = output.size();
    JobBody::new(output.id(), lines, Stage::Running(output)).into_body(size)
}

/// Makes the body of an answer that is all there.
pub(crate) async fn whole(output: Output, lines: Lines) -> Body {
    let mut body = JobBody::new(output.id(), lines, Stage::Running(output));
    let mut chunks = VecDeque::new();
    while let Some(chunk) = body.next().await {
        chunks.push_back(chunk);
    }
    Body::known(chunks)
}

/// Makes the body of an answer that is still waited for.
pub(crate) fn with_heartbeat(
    ticket: Ticket,
    lines: Lines,
    beat: Duration,
    counted: Counted,
) -> Body {
    let sign = match lines {
        // A blank line would break clients that read lines.
        Lines::Json | Lines::OpenAiBody | Lines::AnthropicBody => " ",
        Lines::OpenAiEvents | Lines::ResponsesEvents | Lines::AnthropicEvents => ": waiting\n\n",
    };
    let (job, size) = (ticket.id(), ticket.size());
    let stage = Stage::Waiting {
        first: Box::pin(ticket.first()),
        beat,
        sign,
        _counted: counted,
    };
    JobBody::new(job, lines, stage).into_body(size)
}

impl JobBody {
    const fn new(job: JobId, lines: Lines, stage: Stage) -> Self {
        Self {
            job,
            lines,
            stage,
            end: Vec::new(),
            chunks: 0,
        }
    }

    fn into_body(self, size: OutputSize) -> Body {
        let stream = stream::unfold(self, async |mut body| {
            let chunk = body.next().await?;
            Some((chunk, body))
        });
        Body::stream(stream, Some(Held::Output(size)))
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match &mut self.stage {
                Stage::Over => return None,
                Stage::Waiting {
                    first, beat, sign, ..
                } => {
                    let first = tokio::select! {
                        biased;
                        first = first => first,
                        () = sleep(*beat) => return Some(Bytes::from_static(sign.as_bytes())),
                    };
                    if let Some(chunk) = self.begin(first).await {
                        return Some(chunk);
                    }
                }
                Stage::Running(output) => match output.chunk().await {
                    Some(Ok(chunk)) => {
                        self.note(&chunk);
                        return Some(chunk);
                    }
                    Some(Err(ending)) => {
                        let error = ApiError::ended(&ending, self.job, 0);
                        return Some(self.finish(&error));
                    }
                    None => self.stage = Stage::Over,
                },
            }
        }
    }

    /// Goes on after the wait, whose head was sent before the outcome was known.
    async fn begin(&mut self, first: First) -> Option<Bytes> {
        match first {
            First::Answer(opening, output) if is_success(&opening) => {
                self.stage = Stage::Running(output);
                None
            }
            First::Answer(_, output) => {
                let refusal = refusal(output).await;
                self.stage = Stage::Over;
                Some(self.lines.refused(&refusal))
            }
            First::Ended { ending, attempts } => {
                let error = ApiError::ended(&ending, self.job, attempts);
                Some(self.finish(&error))
            }
        }
    }

    fn note(&mut self, chunk: &[u8]) {
        self.chunks += 1;
        let from = chunk.len().saturating_sub(4);
        self.end
            .extend_from_slice(chunk.get(from..).unwrap_or_default());
        let surplus = self.end.len().saturating_sub(4);
        self.end.drain(..surplus);
    }

    fn finish(&mut self, error: &ApiError) -> Bytes {
        self.stage = Stage::Over;
        let separator = self.lines.separator(&self.end);
        let line = error.last_line(self.lines, self.chunks);
        Bytes::from(format!("{separator}{line}"))
    }
}

fn is_success(opening: &Opening) -> bool {
    (200..300).contains(&opening.head.status)
}

/// Reads the target's refusal, which is a small object in the shape of its API.
async fn refusal(mut output: Output) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(Ok(chunk)) = output.chunk().await {
        body.extend_from_slice(&chunk);
    }
    body
}
