//! Names of targets, resolved as the HTTP connector wants it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::resolver::Resolver;

/// Asks a resolver anew for each connection: nothing is kept.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<dyn Resolver>);

impl Names {
    pub(super) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self(resolver)
    }
}

impl Service<Name> for Names {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Name) -> Self::Future {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = resolver.resolve(req.as_str()).await?;
            Ok(addresses.into_iter())
        })
    }
}
