//! A target that is known by a name.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use foreman_ollama::{ErrorKind, HyperClient, OllamaClient, Resolver, TargetConfig};

use crate::server::{Server, get};

/// Closes each connection after its answer, so that each request is dialled for.
const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";

/// Knows what it is told.
#[derive(Debug, Default)]
struct Told {
    addresses: Mutex<Option<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Told {
    fn tell(&self, addresses: &[SocketAddr]) {
        *self.addresses.lock().expect("a lock") = Some(addresses.to_vec());
    }

    fn forget(&self) {
        *self.addresses.lock().expect("a lock") = None;
    }
}

#[async_trait]
impl Resolver for Told {
    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        assert_eq!(name, "ollama.test");
        self.asked.fetch_add(1, Ordering::SeqCst);
        let addresses = self.addresses.lock().expect("a lock").clone();
        addresses.ok_or_else(|| io::Error::other("name server failure"))
    }
}

/// A client of a name, on the port of a server.
fn client(names: &Arc<Told>, port: u16) -> HyperClient {
    let config = TargetConfig {
        url: format!("http://ollama.test:{port}"),
        ..TargetConfig::default()
    };
    HyperClient::with_resolver(config, Arc::<Told>::clone(names)).expect("a client")
}

async fn ask(client: &HyperClient) -> Result<(), ErrorKind> {
    let answer = client.forward(get(client)).await;
    let answer = answer.map_err(|error| error.kind())?;
    let body = answer.body.collect(9).await;
    assert_eq!(body.expect("a body"), "ok");
    Ok(())
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_a_target_that_is_away_until_it_can() {
    let server = Server::once(OK).await;
    let names = Arc::<Told>::default();
    let client = client(&names, server.address.port());

    assert_eq!(ask(&client).await, Err(ErrorKind::Unreachable));
    names.tell(&[]);
    assert_eq!(ask(&client).await, Err(ErrorKind::Unreachable));
    names.tell(&[server.address]);
    assert_eq!(ask(&client).await, Ok(()));
    names.forget();
    assert_eq!(ask(&client).await, Err(ErrorKind::Unreachable));

    assert_eq!(names.asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_name_that_moves_to_another_address_is_followed() {
    let server = Server::once(OK).await;
    let port = server.address.port();
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], port));
    let names = Arc::<Told>::default();
    let client = client(&names, port);

    // Nobody listens at the old address.
    names.tell(&[elsewhere]);
    assert!(ask(&client).await.is_err());
    names.tell(&[server.address]);
    assert_eq!(ask(&client).await, Ok(()));
    // Of several addresses the first that answers is taken.
    names.tell(&[elsewhere, server.address]);
    assert_eq!(ask(&client).await, Ok(()));

    assert_eq!(server.connections(), 2);
}
