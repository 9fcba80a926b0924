//! Where the addresses of a target's name come from.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// Finds the addresses of a name; it is asked before each new connection.
#[async_trait]
pub trait Resolver: Send + Sync + fmt::Debug {
    /// Returns the addresses in the order in which they are to be tried; their ports are ignored.
    ///
    /// # Errors
    ///
    /// When the name has no address, or nobody knows now.
    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// Asks the system: its hosts file, its name servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}
