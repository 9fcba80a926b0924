//! The client that speaks to a real target.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Uri};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;

use crate::client::{BoxError, OllamaClient, TargetBody, TargetRequest, TargetResponse};
use crate::config::{Deadlines, TargetConfig};
use crate::error::{ConfigError, ErrorKind, TargetError};
use crate::headers;
use crate::resolver::{Resolver, SystemResolver};
use crate::url::TargetUrl;
use crate::wire::dial::Dialer;
use crate::wire::exchange::{Exchange, SentClock};
use crate::wire::pool::{Pool, RequestBody};
use crate::wire::upload::Upload;

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
        let doing = Cow::Owned(describe(&request));
        let head = inner.head(&request, &doing)?;
        match request.body {
            TargetBody::Empty => {
                inner
                    .replayable(head, Bytes::new(), request.deadlines, doing)
                    .await
            }
            TargetBody::Full(body) => inner.replayable(head, body, request.deadlines, doing).await,
            TargetBody::Stream { body, length } => {
                let (upload, watch) = Upload::new(body, length);
                // A streamed body can be sent once only: never on a connection that may be stale.
                let connection = inner.dialer.dial(&doing).await?;
                let exchange = inner.exchange(
                    request.deadlines,
                    SentClock::AfterUpload(watch),
                    doing.clone(),
                );
                exchange
                    .run(connection, Request::from_parts(head, upload.boxed()))
                    .await
                    .map_err(|failure| failure.error)
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
        head: Parts,
        body: Bytes,
        deadlines: Deadlines,
        doing: Cow<'static, str>,
    ) -> Result<TargetResponse, TargetError> {
        let sending = |head, doing| {
            let clock = SentClock::At(Instant::now());
            let request = Request::from_parts(head, full(body.clone()));
            (self.exchange(deadlines, clock, doing), request)
        };
        let pooled = if changes_models(&head) {
            None
        } else {
            self.pool.take().await
        };
        if let Some(connection) = pooled {
            let (exchange, request) = sending(head.clone(), doing.clone());
            match exchange.run(connection, request).await {
                Err(failure) if failure.silent_end => {
                    tracing::debug!(request = %doing, "stale connection, sending again");
                }
                Err(failure) => return Err(failure.error),
                Ok(response) => return Ok(response),
            }
        }
        let connection = self.dialer.dial(&doing).await?;
        let (exchange, request) = sending(head, doing);
        exchange
            .run(connection, request)
            .await
            .map_err(|failure| failure.error)
    }

    fn exchange(
        &self,
        deadlines: Deadlines,
        clock: SentClock,
        doing: Cow<'static, str>,
    ) -> Exchange {
        Exchange {
            deadlines,
            clock,
            doing,
            pool: Arc::clone(&self.pool),
        }
    }

    /// Makes the head that the target gets.
    fn head(&self, request: &TargetRequest, doing: &str) -> Result<Parts, TargetError> {
        let uri: Uri = format!("{}{}", self.url.prefix(), request.path_and_query)
            .parse()
            .map_err(|error: http::uri::InvalidUri| {
                TargetError::new(ErrorKind::InvalidResponse, doing.to_owned()).with_source(error)
            })?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = request.method.clone();
        head.uri = uri;
        head.headers = headers::forwardable_headers(&request.headers);
        head.headers.insert(HOST, self.host.clone());
        if let Some(bearer) = &self.bearer {
            head.headers.insert(AUTHORIZATION, bearer.clone());
        }
        let length = match &request.body {
            TargetBody::Empty => may_have_body(&request.method).then_some(0),
            TargetBody::Full(body) => Some(u64::try_from(body.len()).unwrap_or(u64::MAX)),
            TargetBody::Stream { body, length } => {
                if length.is_none() && !body.is_end_stream() {
                    let chunked = HeaderValue::from_static("chunked");
                    head.headers.insert(TRANSFER_ENCODING, chunked);
                }
                *length
            }
        };
        if let Some(length) = length {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
        Ok(head)
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

fn full(body: Bytes) -> RequestBody {
    let body: BoxBody<Bytes, Infallible> = Full::new(body).boxed();
    body.map_err(|never| -> BoxError { match never {} }).boxed()
}

/// Names a request without its query, which may hold what belongs in no log.
fn describe(request: &TargetRequest) -> String {
    let path = request.path_and_query.split('?').next().unwrap_or_default();
    format!("{} {path}", request.method)
}
