//! Chats that are answered in chunks.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::Plan;
use crate::http::{Connection, Template, contains, digits};
use crate::load::{float, within};
use crate::probe;
use crate::programs::CHAT;
use crate::stand::Stand;
use crate::table::{Figure, Unit};

const TOKENS: u64 = 8;
const MANY: u64 = 100_000;

/// What callers see of answers that come in chunks.
#[derive(Debug, Default)]
struct Seen {
    /// From the request to the first byte of the answer.
    first: Vec<Duration>,
    /// From the moment at which the target wrote a chunk to its arrival, the last one left out.
    held: Vec<Duration>,
    /// The same of the last chunk.
    last: Vec<Duration>,
}

/// Eight tokens, 5 ms apart.
pub(super) async fn paced(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(&[]).await;
    let direct = Seen::of(stand.stub.address, plan).await;
    let sync = stand.fdatasync();
    let through = Seen::of(stand.foreman.address, plan).await;
    let figure = |what: &str, share, times: fn(&Seen) -> &Vec<Duration>| {
        let (time, than) = (
            within(times(&through), share),
            within(times(&direct), share),
        );
        Figure::added(what, time, than)
    };
    vec![
        Figure::micros("direct, first byte p50", within(&direct.first, 0.5)),
        figure("added to the first byte, p50", 0.5, |seen| &seen.first),
        figure("added to the first byte, p99", 0.99, |seen| &seen.first),
        figure("a chunk is held, p50", 0.5, |seen| &seen.held),
        figure("a chunk is held, p99", 0.99, |seen| &seen.held),
        figure("the last chunk is held, p50", 0.5, |seen| &seen.last),
        Figure::micros("fdatasync, p50", sync),
    ]
}

/// A hundred thousand tokens as fast as they come.
pub(super) async fn unpaced() -> Vec<Figure> {
    let stand = Stand::start(&[]).await;
    let direct = rate(stand.stub.address).await;
    let before = stand.foreman.cpu();
    let through = rate(stand.foreman.address).await;
    let cpu = stand.foreman.cpu().saturating_sub(before);
    let each = cpu.as_secs_f64() / float(MANY);
    vec![
        Figure::new("direct, chunks", direct, Unit::PerSecond),
        Figure::new("foreman, chunks", through, Unit::PerSecond),
        Figure::new("foreman / direct", through / direct, Unit::Ratio),
        Figure::micros("foreman, CPU each", Duration::from_secs_f64(each)),
    ]
}

impl Seen {
    async fn of(address: SocketAddr, plan: Plan) -> Self {
        let mut template = template(&format!("stub:tokens={TOKENS} stub:pace=5ms say {{n}}"));
        let mut connection = Connection::open(address).await;
        let mut seen = Self::default();
        let end = Instant::now() + plan.time;
        let mut number = 0;
        while Instant::now() < end {
            seen.take(&mut connection, template.with(number)).await;
            number += 1;
        }
        for times in [&mut seen.first, &mut seen.held, &mut seen.last] {
            times.sort_unstable();
        }
        seen
    }

    async fn take(&mut self, connection: &mut Connection, request: &[u8]) {
        let began = Instant::now();
        let mut first = None;
        let mut held = Vec::new();
        connection.send(request).await;
        let answer = connection.answer(|at, chunk| {
            first.get_or_insert(at - began);
            held.push(probe::since_written(chunk));
        });
        let answer = answer.await;
        let lines = answer.body.split(|byte| *byte == b'\n').count();
        assert_eq!(answer.status, 200, "a stream");
        assert_eq!(
            lines,
            usize::try_from(TOKENS + 2).expect("a count"),
            "chunks"
        );
        assert!(contains(answer.body, b"\"done\":true"), "a whole stream");
        self.first.push(first.expect("a first chunk"));
        self.last.extend(held.pop());
        self.held.append(&mut held);
    }
}

async fn rate(address: SocketAddr) -> f64 {
    let mut template = template(&format!("stub:tokens={MANY} say {{n}}"));
    let mut connection = Connection::open(address).await;
    // A short one first, so that nothing is done for the first time.
    let warm = self::template("say {n}").with(1).to_vec();
    assert_eq!(connection.ask(&warm).await.status, 200, "a stream");
    let began = Instant::now();
    let answer = connection.ask(template.with(7)).await;
    let took = began.elapsed();
    let lines = answer.body.split(|byte| *byte == b'\n');
    let tokens = lines
        .filter(|line| contains(line, b"\"done\":false"))
        .count();
    assert_eq!(answer.status, 200, "a stream");
    assert_eq!(tokens, usize::try_from(MANY).expect("a count"), "tokens");
    assert!(contains(answer.body, b"\"done\":true"), "a whole stream");
    assert!(contains(answer.body, digits(7).as_bytes()), "the echo");
    float(MANY) / took.as_secs_f64()
}

fn template(prompt: &str) -> Template {
    let body =
        format!(r#"{{"model":"{CHAT}","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
    Template::new("POST", "/api/chat", &body)
}
