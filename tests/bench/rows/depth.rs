//! A million jobs that wait.

use std::time::Duration;

use tokio::time::Instant;

use crate::Plan;
use crate::http::Connection;
use crate::load::within;
use crate::probe;
use crate::programs::{CHAT, Program};
use crate::rows::submit;
use crate::stand::Stand;
use crate::table::{Figure, Unit};

const JOBS: u64 = 1_000_000;
const MIB: f64 = 1024.0 * 1024.0;
const PAGES: u32 = 20;

pub(super) async fn measure(plan: Plan) -> Vec<Figure> {
    let stand = Stand::start(submit::ROOM).await;
    stand.pause().await;
    let empty = submit::load(&stand, plan).on(&stand.foreman).await;
    let mut connection = Connection::open(stand.foreman.address).await;
    let mut count = stand.waiting().await;
    while count < JOBS {
        count += submit::array(&mut connection, count).await;
    }
    let long = submit::load(&stand, plan).on(&stand.foreman).await;
    let page = page(&mut connection).await;
    let Stand {
        stub,
        foreman,
        directory,
    } = stand;
    foreman.kill().await;
    let began = Instant::now();
    let foreman = Program::foreman(stub.address, directory.path(), submit::ROOM).await;
    let ready = until_ready(&foreman, began).await;
    let memory = probe::memory(foreman.pid());
    let rates = [&empty, &long].map(|through| through.served.rate());
    let [rate_empty, rate_long] = rates;
    vec![
        Figure::new("submitted to an empty queue", rate_empty, Unit::PerSecond),
        Figure::new("submitted to the long one", rate_long, Unit::PerSecond),
        Figure::new("long / empty", rate_long / rate_empty, Unit::Ratio),
        Figure::micros("CPU each, empty queue", empty.cpu_each()),
        Figure::micros("CPU each, long one", long.cpu_each()),
        Figure::new("a page of the list", page.as_secs_f64() * 1e3, Unit::Millis),
        Figure::new(
            "ready after a kill",
            ready.as_secs_f64() * 1e3,
            Unit::Millis,
        ),
        Figure::new("memory after it", mib(memory), Unit::Mib),
    ]
}

/// The time of a page in the middle of the list, of one model.
async fn page(connection: &mut Connection) -> Duration {
    let mut times = Vec::new();
    for path in ["/foreman/v1/jobs", "/foreman/v1/jobs?state=queued&model="] {
        let path = if path.ends_with('=') {
            format!("{path}{CHAT}")
        } else {
            path.to_owned()
        };
        let mut all: Vec<Duration> = Vec::new();
        for _ in 0..PAGES {
            let began = Instant::now();
            let answer = connection.get(&path).await;
            all.push(began.elapsed());
            assert_eq!(answer.status, 200, "a page");
        }
        all.sort_unstable();
        times.push(within(&all, 0.5));
    }
    times.into_iter().max().expect("two kinds of pages")
}

async fn until_ready(foreman: &Program, began: Instant) -> Duration {
    let mut connection = Connection::open(foreman.address).await;
    while connection.get("/readyz").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}

pub(super) fn mib(bytes: u64) -> f64 {
    crate::load::float(bytes / 1024) * 1024.0 / MIB
}
