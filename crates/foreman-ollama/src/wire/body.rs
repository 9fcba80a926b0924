//! The body of an answer, tied to its connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::error::{ErrorKind, TargetError};
use crate::wire::failure;
use crate::wire::pool::{Connection, Pool};
use crate::wire::upload::UploadWatch;

/// Hands out chunks as they come; owns the connection until the body is at its end.
pub(super) struct WireBody {
    incoming: Incoming,
    connection: Option<Connection>,
    pool: Arc<Pool>,
    /// The request's own body, which may still be on its way.
    upload: Option<UploadWatch>,
    doing: Arc<str>,
}

impl WireBody {
    pub(super) fn new(
        incoming: Incoming,
        connection: Connection,
        pool: Arc<Pool>,
        upload: Option<UploadWatch>,
        doing: Arc<str>,
    ) -> Self {
        let mut body = Self {
            incoming,
            connection: Some(connection),
            pool,
            upload,
            doing,
        };
        // A reader that trusts `is_end_stream` never polls an empty body.
        body.release_at_end();
        body
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        // An answer that came before the request was out leaves a connection that still sends.
        let sent = self
            .upload
            .as_ref()
            .is_none_or(|upload| upload.sent_at().is_some());
        if let Some(connection) = self.connection.take()
            && sent
        {
            self.pool.put(connection);
        }
    }

    fn explain(&self, error: hyper::Error) -> TargetError {
        if let Some(cause) = self.upload.as_ref().and_then(UploadWatch::failure) {
            return TargetError::new(ErrorKind::RequestBody, Arc::clone(&self.doing))
                .with_source(cause);
        }
        let kind = failure::inside_body(&error);
        TargetError::new(kind, Arc::clone(&self.doing)).with_source(error)
    }
}

impl Body for WireBody {
    type Data = Bytes;
    type Error = TargetError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TargetError>>> {
        let Self {
            incoming,
            connection,
            ..
        } = &mut *self;
        let polled = match connection {
            Some(connection) => {
                let frame = |cx: &mut Context<'_>| Pin::new(&mut *incoming).poll_frame(cx);
                connection.driver.poll(cx, frame)
            }
            None => Pin::new(incoming).poll_frame(cx),
        };
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => {
                self.release_at_end();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.connection = None;
                Some(Err(self.explain(error)))
            }
            None => {
                self.release();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
