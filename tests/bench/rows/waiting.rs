//! Callers that wait.

use std::time::Duration;

use crate::http::Connection;
use crate::load::float;
use crate::probe;
use crate::rows::chat;
use crate::stand::Stand;
use crate::table::{Figure, Unit};

const CALLERS: u64 = 9_000;

pub(super) async fn measure() -> Vec<Figure> {
    let settings = [("FOREMAN_MAX_QUEUE", "20000"), ("FOREMAN_INTERIM", "off")];
    let stand = Stand::start(&settings).await;
    stand.pause().await;
    let before = probe::memory(stand.foreman.pid());
    let mut template = chat::template();
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let mut caller = Connection::open(stand.foreman.address).await;
        caller.send(template.with(number)).await;
        callers.push(caller);
    }
    while stand.waiting().await < CALLERS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = probe::memory(stand.foreman.pid());
    let each = float((after - before) / CALLERS) / 1024.0;
    vec![Figure::new("memory each", each, Unit::Kib)]
}
