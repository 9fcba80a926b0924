//! One dispatch of a job to the target, from the first byte sent to the end of the answer.
//!
//! The target's chunks go into the job's spool as they come. The one that ends the answer is held
//! back: it is the settlement's to publish, once the outcome is durable. An answer that comes in
//! one piece, and one that is no success, are held back whole, so that nobody has seen anything of
//! them if the attempt fails.

use bytes::Bytes;
use foreman_job::{Endpoint, FailureKind, JobFailure, Usage};
use foreman_ollama::{
    Api, ChunkAssembler, Deadlines, Ending as Mark, EndingDetector, Framing, KeepAlive,
    OllamaClient, RequestHead, TargetBody, TargetRequest, TargetResponse, TargetStream, Unfinished,
    scan, with_keep_alive,
};
use foreman_store::{AnswerHead, Claimed, StoredRequest};
use http::{HeaderMap, Method, StatusCode, header};
use std::time::Duration;
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;

use crate::classify;
use crate::early::Early;
use crate::headers::{from_stored, to_stored};
use crate::live::LiveJob;
use crate::spool::Opening;

/// What the settlement still has to publish.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Closing {
    /// The head, where the answer was held back whole.
    pub(crate) head: Option<AnswerHead>,
    /// The last chunk.
    pub(crate) last: Option<Bytes>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Attempt {
    /// With a complete answer.
    Complete {
        /// What is left to publish.
        closing: Closing,
        /// What the target reported.
        usage: Option<Usage>,
    },
    /// Without one.
    Failed {
        /// Why.
        failure: JobFailure,
        /// The pause that the target asked for.
        retry_after: Option<Duration>,
        /// The target's own words, for the caller if this is the end.
        closing: Option<Closing>,
    },
    /// Stopped, because the job was cancelled or its caller left.
    Aborted,
    /// Stopped, because foreman shuts down.
    Released,
}

impl Attempt {
    /// Tells whether there is a complete answer.
    pub(crate) const fn is_complete(&self) -> bool {
        matches!(self, Self::Complete { .. })
    }

    /// Returns how long the target took to load the model, where it said so.
    pub(crate) fn load(&self) -> Option<Duration> {
        match self {
            Self::Complete { usage, .. } => {
                usage.map(|usage| usage.load).filter(|load| !load.is_zero())
            }
            Self::Failed { .. } | Self::Aborted | Self::Released => None,
        }
    }
}

/// What an attempt works with.
pub(crate) struct Dispatch<'a> {
    pub(crate) client: &'a dyn OllamaClient,
    pub(crate) deadlines: Deadlines,
    pub(crate) keep_alive: &'a KeepAlive,
    pub(crate) max_output: u64,
    pub(crate) claimed: &'a Claimed,
    pub(crate) head: Option<&'a RequestHead>,
    pub(crate) live: &'a LiveJob,
    /// Set once the job is claimed: before, nothing is shown.
    pub(crate) told: &'a SetOnce<Claimed>,
    /// Set at the first byte of an answer.
    pub(crate) started: &'a CancellationToken,
}

/// Returns the target's route as its client names it.
pub fn api_of(endpoint: Endpoint) -> Api {
    match endpoint {
        Endpoint::Chat => Api::Chat,
        Endpoint::Generate => Api::Generate,
        Endpoint::V1ChatCompletions => Api::V1ChatCompletions,
        Endpoint::V1Completions => Api::V1Completions,
        Endpoint::V1Responses => Api::V1Responses,
        Endpoint::V1Messages => Api::V1Messages,
        Endpoint::V1AudioTranscriptions => Api::V1AudioTranscriptions,
    }
}

impl Dispatch<'_> {
    /// Sends the job's request and reads the answer to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection to the target, which stops its work.
    pub(crate) async fn run(&self, early: Option<Box<Early>>) -> Attempt {
        match self.exchange(early).await {
            Ok(attempt) => attempt,
            Err(failure) => Attempt::failed(failure),
        }
    }

    async fn exchange(&self, early: Option<Box<Early>>) -> Result<Attempt, JobFailure> {
        let begun = match early {
            Some(early) => early.response().await,
            None => None,
        };
        let response = match begun {
            Some(response) => response,
            None => self.client.forward(self.request()?).await,
        };
        let TargetResponse {
            status,
            headers,
            body,
        } = response.map_err(|error| classify::exchange(&error))?;
        if !status.is_success() {
            self.told.wait().await;
            return self.refusal(status, &headers, body).await;
        }
        let framing = match self.claimed.job.endpoint {
            // One text, whatever the target calls it: inside, it is the answer of a stream.
            Endpoint::V1AudioTranscriptions => Framing::Opaque,
            Endpoint::Chat
            | Endpoint::Generate
            | Endpoint::V1ChatCompletions
            | Endpoint::V1Completions
            | Endpoint::V1Responses
            | Endpoint::V1Messages => Framing::of(&headers),
        };
        match framing {
            framing @ (Framing::Ndjson | Framing::Sse) => {
                self.told.wait().await;
                Box::pin(self.stream((status, &headers), framing, body)).await
            }
            Framing::Opaque => self.whole((status, &headers), body).await,
        }
    }

    fn request(&self) -> Result<TargetRequest, JobFailure> {
        let Some(request) = &self.claimed.request else {
            let message = "the stored request cannot be read any more; send it again";
            return Err(JobFailure::new(FailureKind::StorageRead, message));
        };
        let endpoint = self.claimed.job.endpoint;
        let (head, keep_alive) = (self.head, self.keep_alive);
        Ok(target_request(
            endpoint,
            request,
            (head, keep_alive),
            self.deadlines,
        ))
    }

    /// Reads an answer that is no success.
    async fn refusal(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        mut body: TargetStream,
    ) -> Result<Attempt, JobFailure> {
        let text = self.collect(&mut body).await?;
        let kind = classify::status(status, &text);
        Ok(Attempt::Failed {
            failure: JobFailure::new(kind, format!("target answered {}", status.as_u16())),
            retry_after: classify::retry_after(headers),
            closing: Some(Closing {
                head: Some(answer_head(status, headers)),
                last: Some(text),
            }),
        })
    }

    /// Reads an answer that comes in one piece.
    async fn whole(
        &self,
        (status, headers): (StatusCode, &HeaderMap),
        mut body: TargetStream,
    ) -> Result<Attempt, JobFailure> {
        if has_type(headers, b"text/html") {
            let message = "target answered a web page in place of an answer";
            return Err(JobFailure::new(FailureKind::BadResponse, message));
        }
        let text = self.collect(&mut body).await?;
        self.started.cancel();
        let closing = Closing {
            head: Some(answer_head(status, headers)),
            last: Some(text.clone()),
        };
        if text.is_empty() && !has_type(headers, b"text/plain") {
            // A transcription that broke leaves nothing; one of silence has the type of its text.
            return Ok(Attempt::incomplete(None));
        }
        let mut marks = EndingDetector::new(api_of(self.claimed.job.endpoint), false);
        marks.feed(&text);
        Ok(match marks.finish() {
            Ok(reported) => Attempt::Complete {
                closing,
                usage: reported.map(usage),
            },
            Err(Unfinished::Error { message }) => Attempt::target_error(&message, closing),
            Err(Unfinished::NoEnding) => Attempt::incomplete(Some(closing)),
        })
    }

    /// Forwards an answer that comes in chunks.
    async fn stream(
        &self,
        (status, headers): (StatusCode, &HeaderMap),
        framing: Framing,
        mut body: TargetStream,
    ) -> Result<Attempt, JobFailure> {
        let head = answer_head(status, headers);
        let mut assembler = ChunkAssembler::new(framing);
        let mut marks = EndingDetector::new(api_of(self.claimed.job.endpoint), true);
        while let Some(piece) = body.chunk().await {
            let piece = piece.map_err(|error| classify::exchange(&error))?;
            let frame = assembler
                .push(piece)
                .map_err(|error| JobFailure::new(FailureKind::LineTooLong, error.to_string()))?;
            let Some(frame) = frame else { continue };
            self.started.cancel();
            if let Some(mark) = marks.feed(&frame) {
                let ended = self.ended(mark, &head, frame, marks.usage().map(usage));
                read_to_end(&mut body).await;
                return Ok(ended);
            }
            self.publish(&head, frame)?;
        }
        self.unmarked_end(assembler.finish(), &mut marks, &head)
    }

    /// Judges a stream that ended without a marked chunk: the rest may hold it, without a newline.
    fn unmarked_end(
        &self,
        rest: Option<Bytes>,
        marks: &mut EndingDetector,
        head: &AnswerHead,
    ) -> Result<Attempt, JobFailure> {
        let Some(rest) = rest else {
            return Ok(Attempt::incomplete(None));
        };
        if let Some(mark) = marks.feed(&rest) {
            return Ok(self.ended(mark, head, rest, marks.usage().map(usage)));
        }
        self.publish(head, rest)?;
        Ok(Attempt::incomplete(None))
    }

    fn ended(&self, mark: Mark, head: &AnswerHead, frame: Bytes, usage: Option<Usage>) -> Attempt {
        let closing = Closing {
            head: (!self.live.spool.is_open()).then(|| head.clone()),
            last: Some(frame),
        };
        match mark {
            Mark::Complete => Attempt::Complete { closing, usage },
            Mark::Error { message } => Attempt::target_error(&message, closing),
        }
    }

    fn publish(&self, head: &AnswerHead, frame: Bytes) -> Result<(), JobFailure> {
        let Claimed { job, .. } = self.told.get().unwrap_or(self.claimed);
        let opening = || Opening {
            head: head.clone(),
            attempt: job.progress.attempt,
            queued: job.queued(),
            failure: None,
        };
        let size = self.live.spool.push(opening, frame);
        self.check_size(size)
    }

    async fn collect(&self, body: &mut TargetStream) -> Result<Bytes, JobFailure> {
        let mut pieces = Vec::new();
        let mut size = 0_u64;
        while let Some(piece) = body.chunk().await {
            let piece = piece.map_err(|error| classify::exchange(&error))?;
            size = size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            self.check_size(size)?;
            pieces.push(piece);
        }
        Ok(match pieces.as_slice() {
            [only] => only.clone(),
            _ => pieces.concat().into(),
        })
    }

    fn check_size(&self, size: u64) -> Result<(), JobFailure> {
        if size <= self.max_output {
            return Ok(());
        }
        let message = format!("the answer is longer than {} bytes", self.max_output);
        Err(JobFailure::new(FailureKind::OutputTooLarge, message))
    }
}

impl Attempt {
    pub(crate) const fn failed(failure: JobFailure) -> Self {
        Self::Failed {
            failure,
            retry_after: None,
            closing: None,
        }
    }

    fn target_error(message: &str, closing: Closing) -> Self {
        // The text goes to the caller as the target wrote it, and stays out of logs and records:
        // it may quote the prompt.
        let kind = classify::error_line(message);
        Self::Failed {
            failure: JobFailure::new(kind, "target ended its answer with an error"),
            retry_after: None,
            closing: Some(closing),
        }
    }

    fn incomplete(closing: Option<Closing>) -> Self {
        let message = "target ended its answer before it was complete";
        Self::Failed {
            failure: JobFailure::new(FailureKind::Incomplete, message),
            retry_after: None,
            closing,
        }
    }
}

/// How long the target may take from its last chunk to the end of its answer.
const END_OF_BODY: Duration = Duration::from_millis(250);

/// Reads what follows the last chunk, so that the connection can be used again.
async fn read_to_end(body: &mut TargetStream) {
    let rest = async { while let Some(Ok(_)) = body.chunk().await {} };
    // A target that does not end its answer loses the connection; the answer is complete.
    let _in_time = tokio::time::timeout(END_OF_BODY, rest).await;
}

fn answer_head(status: StatusCode, headers: &HeaderMap) -> AnswerHead {
    AnswerHead {
        status: status.as_u16(),
        headers: to_stored(headers),
    }
}

fn has_type(headers: &HeaderMap, content_type: &[u8]) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(content_type))
}

fn usage(reported: foreman_ollama::Usage) -> Usage {
    let foreman_ollama::Usage {
        prompt_tokens,
        completion_tokens,
        load,
        total,
    } = reported;
    Usage {
        prompt_tokens,
        completion_tokens,
        load,
        total,
    }
}

/// Reads what scheduling needs from a stored request.
pub(crate) fn head_of(endpoint: Endpoint, request: &StoredRequest) -> Option<RequestHead> {
    scan(api_of(endpoint), &request.body).ok()
}

/// Makes what the target is sent of a stored request.
pub(crate) fn target_request(
    endpoint: Endpoint,
    request: &StoredRequest,
    pin: (Option<&RequestHead>, &KeepAlive),
    deadlines: Deadlines,
) -> TargetRequest {
    TargetRequest {
        method: Method::POST,
        path_and_query: endpoint.path().to_owned(),
        headers: from_stored(&request.headers),
        body: TargetBody::Full(pinned(endpoint, &request.body, pin)),
        deadlines,
    }
}

/// Sets the worker's keep-alive, where the route knows one.
fn pinned(
    endpoint: Endpoint,
    body: &Bytes,
    (head, keep_alive): (Option<&RequestHead>, &KeepAlive),
) -> Bytes {
    match endpoint {
        // A body that cannot be read any more is the target's to refuse.
        Endpoint::Chat | Endpoint::Generate => head.map_or_else(
            || body.clone(),
            |head| with_keep_alive(body, head, keep_alive),
        ),
        Endpoint::V1ChatCompletions
        | Endpoint::V1Completions
        | Endpoint::V1Responses
        | Endpoint::V1Messages
        | Endpoint::V1AudioTranscriptions => body.clone(),
    }
}
