//! Loads: many connections at once, or one after the other.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::http::{Answer, Connection, Template};

/// Tells whether an answer is the right one for a request's number.
pub(crate) type Check = fn(&Answer<'_>, u64) -> bool;

/// What is asked, and what is right.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) template: Template,
    pub(crate) check: Check,
    pub(crate) connections: usize,
    pub(crate) time: Duration,
}

/// What came of a load.
#[derive(Debug)]
pub(crate) struct Served {
    /// Requests that were answered.
    pub(crate) count: u64,
    pub(crate) took: Duration,
    /// Times of the answers, in order of size.
    pub(crate) times: Vec<Duration>,
}

impl Load {
    /// Keeps all connections busy for the time.
    pub(crate) async fn run(&self) -> Served {
        let next = Rc::new(Cell::new(0));
        let local = LocalSet::new();
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            let mut connection = Connection::open(self.address).await;
            self.clone().one(&mut connection, &next).await;
            connections.push(connection);
        }
        let began = Instant::now();
        let end = began + self.time;
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let (mut load, next) = (self.clone(), Rc::clone(&next));
                local.spawn_local(async move {
                    let mut times = Vec::new();
                    while Instant::now() < end {
                        times.push(load.one(&mut connection, &next).await);
                    }
                    times
                })
            })
            .collect();
        local.await;
        let took = began.elapsed();
        let mut times = Vec::new();
        for task in tasks {
            times.append(&mut task.await.expect("a connection"));
        }
        times.sort_unstable();
        Served {
            count: u64::try_from(times.len()).expect("a count"),
            took,
            times,
        }
    }

    /// Sends one request and checks its answer.
    async fn one(&mut self, connection: &mut Connection, next: &Cell<u64>) -> Duration {
        let number = next.get();
        next.set(number + 1);
        let began = Instant::now();
        let answer = connection.ask(self.template.with(number)).await;
        let took = began.elapsed();
        let is_right = (self.check)(&answer, number);
        let text = String::from_utf8_lossy(answer.body);
        assert!(is_right, "request {number}: {} {text}", answer.status);
        took
    }
}

impl Served {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        float(self.count) / self.took.as_secs_f64()
    }

    /// The time within which this share of the requests was answered.
    pub(crate) fn within(&self, share: f64) -> Duration {
        within(&self.times, share)
    }
}

/// Returns what this share of sorted times does not exceed.
pub(crate) fn within(times: &[Duration], share: f64) -> Duration {
    let count = float(u64::try_from(times.len()).expect("a count"));
    let at = (count * share).ceil().max(1.0) - 1.0;
    let at = format!("{at:.0}").parse::<usize>().expect("a place");
    times.get(at.min(times.len() - 1)).copied().expect("a time")
}

/// Returns a count as a number to divide by.
pub(crate) fn float(count: u64) -> f64 {
    let count = u32::try_from(count).map(f64::from);
    count.unwrap_or(f64::INFINITY)
}
