//! A target in memory, for tests of what is built on the client.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, Sleep, sleep, timeout_at};

use crate::client::{OllamaClient, TargetBody, TargetRequest, TargetResponse};
use crate::config::Deadlines;
use crate::error::{ErrorKind, TargetError};
use crate::stream::{TargetStream, Waits};

type Handler = Box<dyn Fn(&RecordedRequest) -> FakeReply + Send>;

/// Answers from a script and remembers what it was asked. Clones share both.
#[derive(Clone, Default)]
pub struct FakeOllama {
    state: Arc<Mutex<State>>,
    dropped: Arc<Notify>,
}

#[derive(Default)]
struct State {
    requests: Vec<RecordedRequest>,
    queued: BTreeMap<String, VecDeque<FakeReply>>,
    handlers: BTreeMap<String, Handler>,
    dropped: usize,
}

/// One request as the fake got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path_and_query: String,
    /// The headers as given to the client.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
    /// The deadlines.
    pub deadlines: Deadlines,
}

/// What the fake does with one request.
#[derive(Debug)]
pub struct FakeReply {
    before_head: VecDeque<Step>,
    head: Result<(StatusCode, HeaderMap), ErrorKind>,
    body: VecDeque<Step>,
}

#[derive(Debug)]
enum Step {
    Chunk(Bytes),
    Pause(Duration),
    Gate(Arc<Notify>),
    Channel(mpsc::Receiver<Bytes>),
    Fail(ErrorKind),
    Hang,
}

impl FakeOllama {
    /// Makes a target without models; what it was not told to answer is a 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers every request to a path by a closure.
    pub fn on(&self, path: &str, handler: impl Fn(&RecordedRequest) -> FakeReply + Send + 'static) {
        let handler: Handler = Box::new(handler);
        self.state().handlers.insert(path.to_owned(), handler);
    }

    /// Answers the next request to a path, after those queued before, and before any closure.
    pub fn queue(&self, path: &str, reply: FakeReply) {
        let mut state = self.state();
        state
            .queued
            .entry(path.to_owned())
            .or_default()
            .push_back(reply);
    }

    /// Returns the requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state().requests.clone()
    }

    /// Returns the requests to one path so far.
    pub fn requests_to(&self, path: &str) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.path() == path);
        requests
    }

    /// Returns how many answers were dropped before their end.
    pub fn dropped(&self) -> usize {
        self.state().dropped
    }

    /// Waits until that many answers were dropped before their end.
    pub async fn until_dropped(&self, count: usize) {
        loop {
            let next = self.dropped.notified();
            if self.dropped() >= count {
                return;
            }
            next.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self, request: RecordedRequest) -> FakeReply {
        let mut state = self.state();
        let path = request.path().to_owned();
        let queued = state.queued.get_mut(&path).and_then(VecDeque::pop_front);
        let reply = match (queued, state.handlers.get(&path)) {
            (Some(reply), _) => reply,
            (None, Some(handler)) => handler(&request),
            (None, None) => default_reply(&path),
        };
        state.requests.push(request);
        reply
    }
}

impl fmt::Debug for FakeOllama {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeOllama").finish_non_exhaustive()
    }
}

impl RecordedRequest {
    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}

impl FakeReply {
    /// Answers with a status, a content type and no body yet.
    pub fn new(status: StatusCode, content_type: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            before_head: VecDeque::new(),
            head: Ok((status, headers)),
            body: VecDeque::new(),
        }
    }

    /// Answers with one JSON body.
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status, "application/json; charset=utf-8").chunk(body)
    }

    /// Answers 200 with lines, each a chunk of its own; newlines are added.
    pub fn ndjson(lines: &[&str]) -> Self {
        let reply = Self::new(StatusCode::OK, "application/x-ndjson");
        lines
            .iter()
            .fold(reply, |reply, line| reply.chunk(format!("{line}\n")))
    }

    /// Answers 200 with the chunks that a test sends, until it drops the sender.
    pub fn channel(content_type: &'static str) -> (Self, mpsc::Sender<Bytes>) {
        let (sender, receiver) = mpsc::channel(64);
        let mut reply = Self::new(StatusCode::OK, content_type);
        reply.body.push_back(Step::Channel(receiver));
        (reply, sender)
    }

    /// Brings no head, but this failure.
    pub fn error(kind: ErrorKind) -> Self {
        Self {
            before_head: VecDeque::new(),
            head: Err(kind),
            body: VecDeque::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if let Ok((_, headers)) = &mut self.head {
            headers.append(name, value);
        }
        self
    }

    /// Waits before the head, or before the failure.
    #[must_use]
    pub fn after(mut self, span: Duration) -> Self {
        self.before_head.push_back(Step::Pause(span));
        self
    }

    /// Waits for a notification before the head, or before the failure.
    #[must_use]
    pub fn when(mut self, gate: Arc<Notify>) -> Self {
        self.before_head.push_back(Step::Gate(gate));
        self
    }

    /// Adds a chunk.
    #[must_use]
    pub fn chunk(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body.push_back(Step::Chunk(bytes.into()));
        self
    }

    /// Adds a silence.
    #[must_use]
    pub fn pause(mut self, span: Duration) -> Self {
        self.body.push_back(Step::Pause(span));
        self
    }

    /// Ends the body with a failure.
    #[must_use]
    pub fn fail(mut self, kind: ErrorKind) -> Self {
        self.body.push_back(Step::Fail(kind));
        self
    }

    /// Never ends the body.
    #[must_use]
    pub fn hang(mut self) -> Self {
        self.body.push_back(Step::Hang);
        self
    }
}

#[async_trait]
impl OllamaClient for FakeOllama {
    async fn forward(&self, request: TargetRequest) -> Result<TargetResponse, TargetError> {
        let doing = format!("{} {}", request.method, request.path_and_query);
        let error = |kind| TargetError::new(kind, doing.clone());
        let deadlines = request.deadlines;
        let body = match request.body {
            TargetBody::Empty => Bytes::new(),
            TargetBody::Full(body) => body,
            TargetBody::Stream { body, length: _ } => body
                .collect()
                .await
                .map_err(|cause| error(ErrorKind::RequestBody).with_source(cause))?
                .to_bytes(),
        };
        let reply = self.reply(RecordedRequest {
            method: request.method,
            path_and_query: request.path_and_query,
            headers: request.headers,
            body,
            deadlines,
        });
        let mut guard = DropGuard {
            fake: self.clone(),
            ended: false,
        };
        let until = deadlines
            .first_byte
            .and_then(|limit| Instant::now().checked_add(limit));
        let head = head(reply.before_head, until).await.and(reply.head);
        let (status, headers) = head.map_err(|kind| {
            guard.ended = true;
            error(kind)
        })?;
        let waits = Waits::new(until.filter(|_| status.is_success()), deadlines.idle);
        let body = FakeBody {
            steps: reply.body,
            timer: None,
            doing: doing.clone(),
            guard,
        };
        Ok(TargetResponse {
            status,
            headers,
            body: TargetStream::new(body.boxed(), waits, doing.into()),
        })
    }
}

/// Goes through what comes before the head.
async fn head(steps: VecDeque<Step>, until: Option<Instant>) -> Result<(), ErrorKind> {
    let all = async {
        for step in steps {
            match step {
                Step::Pause(span) => sleep(span).await,
                Step::Gate(gate) => gate.notified().await,
                Step::Chunk(_) | Step::Channel(_) | Step::Fail(_) | Step::Hang => {}
            }
        }
    };
    if let Some(until) = until {
        return timeout_at(until, all)
            .await
            .map_err(|_elapsed| ErrorKind::FirstByteTimeout);
    }
    all.await;
    Ok(())
}

fn default_reply(path: &str) -> FakeReply {
    match path {
        "/api/tags" | "/api/ps" => FakeReply::json(StatusCode::OK, r#"{"models":[]}"#),
        "/api/version" => FakeReply::json(StatusCode::OK, r#"{"version":"0.0.0"}"#),
        "/v1/models" => FakeReply::json(StatusCode::OK, r#"{"object":"list","data":[]}"#),
        _ => FakeReply::new(StatusCode::NOT_FOUND, "text/plain").chunk("404 page not found"),
    }
}

/// Counts an answer that nobody waited for.
struct DropGuard {
    fake: FakeOllama,
    ended: bool,
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if !self.ended {
            self.fake.state().dropped += 1;
            self.fake.dropped.notify_waiters();
        }
    }
}

struct FakeBody {
    steps: VecDeque<Step>,
    timer: Option<Pin<Box<Sleep>>>,
    doing: String,
    guard: DropGuard,
}

impl Body for FakeBody {
    type Data = Bytes;
    type Error = TargetError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TargetError>>> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            match self.steps.pop_front() {
                Some(Step::Chunk(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Pause(span)) => self.timer = Some(Box::pin(sleep(span))),
                Some(Step::Channel(mut chunks)) => match chunks.poll_recv(cx) {
                    Poll::Ready(Some(bytes)) => {
                        self.steps.push_front(Step::Channel(chunks));
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Poll::Ready(None) => {}
                    Poll::Pending => {
                        self.steps.push_front(Step::Channel(chunks));
                        return Poll::Pending;
                    }
                },
                Some(Step::Gate(_)) => {}
                Some(Step::Fail(kind)) => {
                    self.guard.ended = true;
                    let error = TargetError::new(kind, self.doing.clone());
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                None => {
                    self.guard.ended = true;
                    return Poll::Ready(None);
                }
            }
        }
    }
}
