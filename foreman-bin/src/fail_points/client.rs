//! The points around the target.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use foreman_job::Endpoint;
use foreman_ollama::{
    Deadlines, OllamaClient, TargetError, TargetRequest, TargetResponse, TargetStream,
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::{Fuse, Point};

/// What the last chunk of a chat has in it.
const LAST: &[u8] = b"\"done\":true";

/// A target whose jobs pass the points.
#[derive(Debug)]
pub(super) struct FusedClient {
    inner: Arc<dyn OllamaClient>,
    fuse: Arc<Fuse>,
}

impl FusedClient {
    pub(super) fn new(inner: Arc<dyn OllamaClient>, fuse: Arc<Fuse>) -> Self {
        Self { inner, fuse }
    }
}

#[async_trait]
impl OllamaClient for FusedClient {
    async fn forward(&self, request: TargetRequest) -> Result<TargetResponse, TargetError> {
        if request.path_and_query != Endpoint::Chat.path() {
            return self.inner.forward(request).await;
        }
        self.fuse.hit(Point::BeforeConnect);
        let response = self.inner.forward(request).await?;
        let body = FusedBody {
            inner: response.body,
            fuse: Arc::clone(&self.fuse),
            begun: false,
        };
        Ok(TargetResponse {
            body: TargetStream::from_body(body.boxed()),
            ..response
        })
    }

    fn deadlines(&self) -> Deadlines {
        self.inner.deadlines()
    }
}

/// The body of a job's answer.
struct FusedBody {
    inner: TargetStream,
    fuse: Arc<Fuse>,
    /// Whether a chunk was handed on.
    begun: bool,
}

impl Body for FusedBody {
    type Data = Bytes;
    type Error = TargetError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TargetError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(next) = &polled {
            if self.begun {
                self.fuse.hit(Point::AfterFirstChunk);
            }
            self.begun = true;
            let data = next
                .as_ref()
                .and_then(|next| next.as_ref().ok()?.data_ref());
            if data.is_some_and(|data| data.windows(LAST.len()).any(|it| it == LAST)) {
                self.fuse.hit(Point::BeforeLastChunk);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
