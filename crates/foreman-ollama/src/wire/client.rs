//! The client that speaks to a real target.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Uri};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;

use crate::client::{OllamaClient, TargetBody, TargetRequest, TargetResponse};
use crate::config::{Deadlines, TargetConfig};
use crate::error::{ConfigError, ErrorKind, TargetError};
use crate::headers;
use crate::resolver::{Resolver, SystemResolver};
use crate::url::TargetUrl;
use crate::wire::dial::Dialer;
use crate::wire::exchange::{Exchange, SentClock};
use crate::wire::pool::Pool;
use crate::wire::upload::{RequestBody, Upload};

/// Sends requests to one target over pooled HTTP/1.1 connections.
///
/// Cheap to clone; all clones share the connections, which close with the last of them and of the
/// answers that are still read.
#[derive(Debug, Clone)]
pub struct HyperClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    url: TargetUrl,
    host: HeaderValue,
    /// Marked as sensitive, so that it never prints.
    bearer: Option<HeaderValue>,
    deadlines: Deadlines,
    dialer: Dialer,
    pool: Arc<Pool>,
}

impl HyperClient {
    /// Makes a client; opens no connection.
    ///
    /// # Errors
    ///
    /// Settings that can never work.
    pub fn new(config: TargetConfig) -> Result<Self, ConfigError> {
        Self::with_resolver(config, Arc::new(SystemResolver))
    }

    /// Makes a client that finds the addresses of its target in another way.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a client owns its settings, secrets included"
    )]
    pub fn with_resolver(
        config: TargetConfig,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, ConfigError> {
        let url = TargetUrl::parse(&config.url)?;
        let host = HeaderValue::from_str(url.authority())
            .map_err(|_| ConfigError::Url(crate::url::TargetUrlError::Host))?;
        let bearer = match &config.token {
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                    .map_err(|_| ConfigError::Token)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                dialer: Dialer::new(&url, config.connect_timeout, resolver)?,
                deadlines: Deadlines::from(&config),
                pool: Arc::default(),
                url,
                host,
                bearer,
            }),
        })
    }

    /// Returns the address of the target.
    pub fn url(&self) -> &TargetUrl {
        &self.inner.url
    }
}

#[async_trait]
impl OllamaClient for HyperClient {
    async fn forward(&self, request: TargetRequest) -> Result<TargetResponse, TargetError> {
        let inner = &self.inner;
        // Its room is free again where it is waited.
        let (doing, deadlines, head, body) = {
            let request = request;
            let doing = describe(&request);
            let deadlines = request.deadlines;
            let (head, body) = inner.head(request, &doing)?;
            (doing, deadlines, head, body)
        };
        match body {
            TargetBody::Empty => inner.replayable(head, Bytes::new(), deadlines, doing).await,
            TargetBody::Full(body) => inner.replayable(head, body, deadlines, doing).await,
            TargetBody::Stream { body, length } => {
                let (upload, watch) = Upload::new(body, length);
                let request = Request::from_parts(*head, RequestBody::Stream(upload));
                let clock = SentClock::AfterUpload(watch);
                let exchange = inner.exchange(deadlines, clock, doing);
                Box::pin(inner.once(exchange, request)).await
            }
        }
    }

    fn deadlines(&self) -> Deadlines {
        self.inner.deadlines
    }
}

impl Inner {
    /// Sends a body that can be sent again: a connection that turns out to be stale costs nothing.
    async fn replayable(
        &self,
        head: Box<Parts>,
        body: Bytes,
        deadlines: Deadlines,
        doing: Arc<str>,
    ) -> Result<TargetResponse, TargetError> {
        let sending = |head: Parts, doing| {
            let clock = SentClock::At(Instant::now());
            let request = Request::from_parts(head, RequestBody::Full(Full::new(body.clone())));
            (self.exchange(deadlines, clock, doing), request)
        };
        let pooled = if changes_models(&head) {
            None
        } else {
            self.pool.take().await
        };
        if let Some(connection) = pooled {
            let (exchange, request) = sending(Parts::clone(&head), Arc::clone(&doing));
            match Box::pin(exchange.run(connection, request)).await {
                Err(failure) if failure.silent_end => {
                    tracing::debug!(request = %doing, "stale connection, sending again");
                }
                Err(failure) => return Err(failure.error),
                Ok(response) => return Ok(response),
            }
        }
        // On the heap: whoever finds a connection need not have the room.
        let connection = Box::pin(self.dialer.dial(&doing)).await?;
        let (exchange, request) = sending(*head, doing);
        Box::pin(exchange.run(connection, request))
            .await
            .map_err(|failure| failure.error)
    }

    /// Sends a body that can be sent once only: never on a connection that may be stale.
    async fn once(
        &self,
        exchange: Exchange,
        request: Request<RequestBody>,
    ) -> Result<TargetResponse, TargetError> {
        let connection = self.dialer.dial(&exchange.doing).await?;
        exchange
            .run(connection, request)
            .await
            .map_err(|failure| failure.error)
    }

    fn exchange(&self, deadlines: Deadlines, clock: SentClock, doing: Arc<str>) -> Exchange {
        Exchange {
            deadlines,
            clock,
            doing,
            pool: Arc::clone(&self.pool),
        }
    }

    /// Makes the head that the target gets, and gives the body back.
    fn head(
        &self,
        request: TargetRequest,
        doing: &Arc<str>,
    ) -> Result<(Box<Parts>, TargetBody), TargetError> {
        let path = Bytes::from(match self.url.prefix() {
            "" => request.path_and_query,
            prefix => format!("{prefix}{}", request.path_and_query),
        });
        let uri = Uri::from_maybe_shared(path).map_err(|error| {
            TargetError::new(ErrorKind::InvalidResponse, Arc::clone(doing)).with_source(error)
        })?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = request.method;
        head.uri = uri;
        head.headers = request.headers;
        headers::keep_forwardable(&mut head.headers);
        let length = match &request.body {
            TargetBody::Empty => may_have_body(&head.method).then_some(0),
            TargetBody::Full(body) => Some(u64::try_from(body.len()).unwrap_or(u64::MAX)),
            TargetBody::Stream { body, length } => {
                if length.is_none() && !body.is_end_stream() {
                    let chunked = HeaderValue::from_static("chunked");
                    head.headers.insert(TRANSFER_ENCODING, chunked);
                }
                *length
            }
        };
        match length {
            Some(length) => head.headers.insert(CONTENT_LENGTH, length.into()),
            None => head.headers.remove(CONTENT_LENGTH),
        };
        head.headers.insert(HOST, self.host.clone());
        if let Some(bearer) = &self.bearer {
            head.headers.insert(AUTHORIZATION, bearer.clone());
        }
        Ok((Box::new(head), request.body))
    }
}

/// Tells whether a request must not be done twice: on a fresh connection it never is.
fn changes_models(head: &Parts) -> bool {
    const CHANGES: [&str; 5] = [
        "/api/pull",
        "/api/push",
        "/api/create",
        "/api/copy",
        "/api/delete",
    ];
    CHANGES.iter().any(|path| head.uri.path().ends_with(path))
}

fn may_have_body(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT || *method == Method::PATCH
}

/// Names a request without its query, which may hold what belongs in no log.
fn describe(request: &TargetRequest) -> Arc<str> {
    let path = request.path_and_query.split('?').next().unwrap_or_default();
    [request.method.as_str(), " ", path].concat().into()
}
