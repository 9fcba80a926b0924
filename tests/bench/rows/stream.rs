//! Chats that are answered in chunks.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::Plan;
use crate::http::{Connection, Template, contains, digits};
use crate::load::{float, within};
use crate::probe::TimeOfDay;
use crate::programs::{CHAT, Program};
use crate::stand::Stand;
use crate::table::{Figure, Unit};

const TOKENS: u64 = 8;
const MANY: u64 = 100_000;

/// A percentile of a hundred needs some hundred streams: so many times as long as other loads.
const LONGER: u32 = 4;

/// Between two streams of somebody who rests.
const REST: Duration = Duration::from_millis(1300);

/// How many of them are asked for.
const RESTED: u64 = 12;

/// How a stream's tokens come.
const EACH_TAKES_5_MS: &str = "stub:first=5ms stub:pace=5ms";
const THE_FIRST_AT_ONCE: &str = "stub:pace=5ms";

/// What callers see of answers that come in chunks.
#[derive(Debug, Default)]
struct Seen {
    /// From the request to the first byte of the answer, beyond the time that the target says it
    /// has taken from the request to its first token. Its timers have steps of a millisecond, so
    /// what it was told to take it does not take.
    first: Vec<Duration>,
    /// From the moment at which the target wrote a chunk to its arrival, the last one left out.
    held: Vec<Duration>,
    /// The same of the last chunk.
    last: Vec<Duration>,
}

/// Eight tokens that take 5 ms each, and eight of which the first one comes at once.
pub(super) async fn paced(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(&[]).await;
    let bare = Program::bare_proxy(stand.stub.address).await;
    let nginx = Program::nginx(stand.stub.address, stand.directory()).await;
    let sync = stand.fdatasync();
    let direct = Seen::of(stand.stub.address, plan, EACH_TAKES_5_MS).await;
    let through = Seen::of(stand.foreman.address, plan, EACH_TAKES_5_MS).await;
    let mut figures = vec![
        Figure::micros("direct, first byte p50", within(&direct.first, 0.5)),
        through.adds("the first byte, p50", &direct, 0.5, |seen| &seen.first),
        through.adds("the first byte, p99", &direct, 0.99, |seen| &seen.first),
        through.adds("a chunk's way, p50", &direct, 0.5, |seen| &seen.held),
        through.adds("a chunk's way, p99", &direct, 0.99, |seen| &seen.held),
        through.adds("the last chunk's way, p50", &direct, 0.5, |seen| &seen.last),
    ];
    for (name, other) in [("a bare hyper proxy", Some(bare)), ("nginx", nginx)] {
        let Some(other) = other else { continue };
        let beside = Seen::of(other.address, plan, EACH_TAKES_5_MS).await;
        for (percentile, share) in [("p50", 0.5), ("p99", 0.99)] {
            let what = format!("the first byte by {name}, {percentile}");
            figures.push(beside.adds(&what, &direct, share, |seen| &seen.first));
        }
    }
    let direct = Seen::of(stand.stub.address, plan, THE_FIRST_AT_ONCE).await;
    let through = Seen::of(stand.foreman.address, plan, THE_FIRST_AT_ONCE).await;
    figures.extend([
        through.adds(
            "a first byte that is there at once, p50",
            &direct,
            0.5,
            |seen| &seen.first,
        ),
        through.adds(
            "a first byte that is there at once, p99",
            &direct,
            0.99,
            |seen| &seen.first,
        ),
        Figure::micros("fdatasync, p50", sync),
    ]);
    figures
}

/// The same after a rest that is longer than a list of loaded models is taken as current where
/// there is something to choose: as somebody chats who reads the answers.
pub(super) async fn rested() -> Vec<Figure> {
    let stand = Stand::start(&[]).await;
    let mut seen = [stand.stub.address, stand.foreman.address].map(|address| {
        let template = template(&format!("stub:tokens={TOKENS} {EACH_TAKES_5_MS} say {{n}}"));
        (address, template, Seen::default())
    });
    for (address, template, seen) in &mut seen {
        let mut connection = Connection::open(*address).await;
        // The first one loads the model.
        let first = template.with(0).to_vec();
        assert_eq!(connection.ask(&first).await.status, 200, "a stream");
        for number in 1..=RESTED {
            tokio::time::sleep(REST).await;
            seen.take(&mut connection, template.with(number)).await;
        }
        seen.sort();
    }
    let [(.., direct), (.., through)] = seen;
    vec![
        Figure::micros("direct, first byte p50", within(&direct.first, 0.5)),
        through.adds("the first byte, p50", &direct, 0.5, |seen| &seen.first),
        through.adds("the first byte, the longest", &direct, 1.0, |seen| {
            &seen.first
        }),
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
    async fn of(address: SocketAddr, plan: Plan, pace: &str) -> Self {
        let mut template = template(&format!("stub:tokens={TOKENS} {pace} say {{n}}"));
        let mut connection = Connection::open(address).await;
        let mut seen = Self::default();
        let end = Instant::now() + plan.time * LONGER;
        let mut number = 0;
        while Instant::now() < end {
            seen.take(&mut connection, template.with(number)).await;
            number += 1;
        }
        seen.sort();
        seen
    }

    fn sort(&mut self) {
        for times in [&mut self.first, &mut self.held, &mut self.last] {
            times.sort_unstable();
        }
    }

    async fn take(&mut self, connection: &mut Connection, request: &[u8]) {
        let began = Instant::now();
        let mut first = None;
        let mut written = Vec::new();
        let mut held = Vec::new();
        connection.send(request).await;
        let answer = connection.answer(|at, chunk| {
            first.get_or_insert(at - began);
            written.push(TimeOfDay::of(chunk));
            held.extend(written.last().map(|at| TimeOfDay::now().since(*at)));
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
        let streamed = written.last().expect("a last chunk");
        let streamed = streamed.since(*written.first().expect("a first chunk"));
        let own = total(answer.body).saturating_sub(streamed);
        let first = first.expect("a first chunk");
        self.first.push(first.saturating_sub(own));
        self.last.extend(held.pop());
        self.held.append(&mut held);
    }

    /// Says by how much a time is longer than without what is between.
    fn adds(
        &self,
        what: &str,
        direct: &Self,
        share: f64,
        times: fn(&Self) -> &Vec<Duration>,
    ) -> Figure {
        let (time, than) = (within(times(self), share), within(times(direct), share));
        Figure::added(format!("added to {what}"), time, than)
    }
}

/// Returns how long the target has taken, as it says at the end of its answer.
fn total(answer: &[u8]) -> Duration {
    let text = std::str::from_utf8(answer).expect("an answer of text");
    let (_, after) = text.split_once("\"total_duration\":").expect("a time");
    let digits = after.split(|it: char| !it.is_ascii_digit()).next();
    let nanos = digits.and_then(|digits| digits.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
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
