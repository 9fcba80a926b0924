//! Opens connections to the target.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tower_service::Service;

use crate::client::BoxError;
use crate::error::{ConfigError, ErrorKind, TargetError};
use crate::resolver::Resolver;
use crate::url::TargetUrl;
use crate::wire::alarm::Alarm;
use crate::wire::failure;
use crate::wire::names::Names;
use crate::wire::pool::{Connection, Counted, Driver, Received};
use crate::wire::upload::RequestBody;

/// How often a silent connection is probed, so that a dead peer is noticed in the end.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Opens connections.
pub(super) struct Dialer {
    uri: Uri,
    https: bool,
    connector: HttpsConnector<HttpConnector<Names>>,
    limit: Duration,
}

impl Dialer {
    pub(super) fn new(
        url: &TargetUrl,
        limit: Duration,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, ConfigError> {
        let mut tcp = HttpConnector::new_with_resolver(Names::new(resolver));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| ConfigError::Tls(error.into()))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            uri: url
                .connect_uri()
                .map_err(|_| ConfigError::Url(crate::url::TargetUrlError::Syntax))?,
            https: url.is_https(),
            connector,
            limit,
        })
    }

    /// Opens a connection within the connect timeout.
    pub(super) async fn dial(&self, doing: &str) -> Result<Connection, TargetError> {
        let error = |kind| TargetError::new(kind, doing.to_owned());
        match timeout(self.limit, self.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(cause)) => {
                Err(error(failure::connecting(&cause, self.https)).with_source(cause))
            }
            Err(_elapsed) => Err(error(ErrorKind::ConnectTimeout)),
        }
    }

    async fn connect(&self) -> Result<Connection, BoxError> {
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await?;
        let stream = connector.call(self.uri.clone()).await?;
        let received = Received::default();
        let io = TokioIo::new(Counted::new(TokioIo::new(stream), received.clone()));
        let (sender, driving) = http1::Builder::new()
            .handshake::<_, RequestBody>(io)
            .await?;
        let driver = Driver::new(async move {
            // Whoever waits for an answer on this connection is told by the sender.
            if let Err(error) = driving.await {
                tracing::trace!(%error, "connection to the target ended");
            }
        });
        Ok(Connection {
            sender,
            received,
            driver,
            alarm: Alarm::default(),
        })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}
