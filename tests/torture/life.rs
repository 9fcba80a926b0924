//! Starts foreman, kills it, looks at what it left, and starts it again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foreman_tests::{Books, Builder, Foreman, Row, eventually};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::FOREMAN;
use crate::history::History;
use crate::load::{Caller, token};
use crate::overlap;
use crate::verdict::{self, Tally};

/// Between two tokens, so that a chat lasts as long as a life does to its other parts.
const PACE: Duration = Duration::from_millis(1);

/// What is known of the ended jobs of former lives.
type Ended = BTreeMap<String, Row>;

/// Gives each life of foreman a name that the target sees.
#[derive(Debug, Default)]
struct Lives(u64);

impl Lives {
    fn next(&mut self, builder: &Builder) -> Builder {
        self.0 += 1;
        builder.again().set("OLLAMA_TOKEN", &overlap::token(self.0))
    }
}

/// Tortures one foreman with so many callers.
pub(crate) async fn run(callers: usize, kills: u32, seed: u64) -> Tally {
    let began = Instant::now();
    let mut random =
        SmallRng::seed_from_u64(seed.wrapping_add(u64::try_from(callers).unwrap_or_default()));
    let stub = foreman_tests::stub().token_pace(PACE);
    let stub = Arc::new(overlap::watchful(stub).await);
    let builder = builder(callers).target(&stub.url());
    let mut lives = Lives::default();
    let mut foreman = lives.next(&builder).start().await;
    let (url, urls) = watch::channel(foreman.url().to_owned());
    let history = Arc::<History>::default();
    let stop = CancellationToken::new();
    let mut crowd = JoinSet::new();
    for number in 0..callers {
        let caller = Caller {
            number,
            url: urls.clone(),
            stub: Arc::clone(&stub),
            history: Arc::clone(&history),
            stop: stop.clone(),
            seed: random.random(),
        };
        crowd.spawn(caller.run());
    }
    let mut tally = Tally::default();
    let mut ended = Ended::new();
    for _ in 0..kills {
        live(&foreman, callers, &mut random).await;
        foreman.kill().await;
        tally.kills += 1;
        look(&builder, &mut ended, &mut tally);
        if random.random_range(0..5) == 0 {
            stillborn(&lives.next(&builder), &mut random).await;
            tally.kills += 1;
            look(&builder, &mut ended, &mut tally);
        }
        foreman = lives.next(&builder).start().await;
        url.send_replace(foreman.url().to_owned());
    }
    stop.cancel();
    while crowd.join_next().await.is_some() {}
    idle(&foreman).await;
    verdict::judge(&history, &foreman, &stub, &mut tally).await;
    foreman.kill().await;
    look(&builder, &mut ended, &mut tally);
    tally.seconds = began.elapsed().as_secs();
    tally
}

fn builder(callers: usize) -> Builder {
    let program = std::env::current_exe().expect("this program");
    let tokens: Vec<_> = (0..callers)
        .map(|caller| format!("c{caller}={}", token(caller)))
        .collect();
    Builder::new(&program.to_string_lossy())
        .named(FOREMAN)
        .set("TOKENS", &tokens.join(","))
        .set("RETRY_BASE", "20ms")
        .set("RETRY_MAX", "3s")
        .set("LOG", "warn")
}

/// Lets a foreman live until it is not far behind, and a little longer.
async fn live(foreman: &Foreman, callers: usize, random: &mut SmallRng) {
    eventually("a queue that is not too long", || async {
        let queued = foreman.health().await["queue"]["queued"].as_u64();
        queued.is_some_and(|queued| queued <= 2 * u64::try_from(callers).unwrap_or(u64::MAX))
    })
    .await;
    sleep(Duration::from_millis(random.random_range(0..300))).await;
}

/// Kills one that may not have come as far as to listen.
async fn stillborn(builder: &Builder, random: &mut SmallRng) {
    let mut child = builder.command().arg("serve").spawn().expect("foreman");
    sleep(Duration::from_millis(random.random_range(0..120))).await;
    child.kill().await.expect("kill foreman");
}

/// Waits until everything that was accepted has ended.
async fn idle(foreman: &Foreman) {
    eventually("an empty queue", || async {
        let queue = &foreman.health().await["queue"];
        queue["queued"] == 0 && queue["running"].is_null()
    })
    .await;
}

/// Looks at the database of a dead foreman.
fn look(builder: &Builder, ended: &mut Ended, tally: &mut Tally) {
    let database: PathBuf = builder.directory().join("foreman.db");
    let books = Books::of_dead(&database);
    for fault in &books.faults {
        tally.blame("database", fault);
    }
    if books.ever != i64::try_from(books.rows.len()).unwrap_or(i64::MAX) {
        let rows = books.rows.len();
        tally.blame(
            "conservation",
            &format!("{rows} jobs of {} are there", books.ever),
        );
    }
    for (id, before) in &*ended {
        if books.job(id).is_none() {
            tally.blame("conservation", &format!("{before:?} is gone"));
        }
    }
    for row in books.rows {
        if let Some(before) = ended.get(&row.id)
            && *before != row
        {
            tally.blame("an ended job changed", &format!("{before:?} {row:?}"));
        }
        if row.has_ended() {
            ended.insert(row.id.clone(), row);
        }
    }
}
