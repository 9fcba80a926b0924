//! A large upload that passes through.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::http::Connection;
use crate::probe;
use crate::rows::depth::mib;
use crate::stand::Stand;
use crate::table::{Figure, Unit};

const SIZE: usize = 1024 * 1024 * 1024;

/// The digest of so many zeros, which is their name.
const DIGEST: &str = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14";

pub(super) async fn measure() -> Vec<Figure> {
    let stand = Stand::start(&[]).await;
    let direct = upload(stand.stub.address).await;
    // A second stub, which does not have it yet.
    let fresh = Stand::start(&[]).await;
    let pid = fresh.foreman.pid();
    let before = probe::memory(pid);
    probe::reset_peak(pid);
    let through = upload(fresh.foreman.address).await;
    let grown = probe::peak(pid).saturating_sub(before);
    let rate = |time: Duration| mib(1024 * 1024 * 1024) / time.as_secs_f64();
    vec![
        Figure::new("direct, a second", rate(direct), Unit::Mib),
        Figure::new("foreman, a second", rate(through), Unit::Mib),
        Figure::new(
            "foreman / direct",
            direct.as_secs_f64() / through.as_secs_f64(),
            Unit::Ratio,
        ),
        Figure::new("memory more than before", mib(grown), Unit::Mib),
    ]
}

async fn upload(address: SocketAddr) -> Duration {
    let mut connection = Connection::open(address).await;
    let head = format!(
        "POST /api/blobs/sha256:{DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {SIZE}\r\n\r\n"
    );
    let piece = vec![0; 1024 * 1024];
    let began = Instant::now();
    connection.send(head.as_bytes()).await;
    for _ in 0..SIZE / piece.len() {
        connection.send(&piece).await;
    }
    let answer = connection.answer(|_, _| {}).await;
    assert_eq!(answer.status, 201, "a blob");
    began.elapsed()
}
