//! How fast foreman is beside others: whole programs, side by side, every answer verified.
//!
//! `cargo bench -p foreman-tests` measures everything, `-- NAME…` some rows, `-- --rounds N` more
//! or fewer rounds, `-- --seconds N` longer or shorter ones, `-- --foreman PATH` another build. Each
//! figure is the median of the rounds; what is compared was measured within one round, one after
//! the other.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark that cannot be set up, or gets a wrong answer, has failed"
)]

mod bare;
mod http;
mod load;
mod probe;
mod programs;
mod rows;
mod stand;
mod table;

use std::io::{self, Write};
use std::time::Duration;

use crate::rows::{ROWS, Row};
use crate::table::Figures;

/// What the command line asks for.
struct Wanted {
    names: Vec<String>,
    rounds: usize,
    plan: Plan,
}

/// How much is to be measured.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// How long each measurement runs.
    time: Duration,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if args.first().is_some_and(|first| first == programs::AS_STUB) {
        return runtime.block_on(programs::be_stub());
    }
    if let [first, target] = args.as_slice()
        && first == programs::AS_BARE_PROXY
    {
        let target = target.parse().expect("an address");
        return runtime.block_on(bare::serve(target));
    }
    let wanted = Wanted::read(args);
    runtime.block_on(measure(&wanted));
}

async fn measure(wanted: &Wanted) {
    say(&probe::machine());
    let rows: Vec<&Row> = ROWS.iter().filter(|row| wanted.wants(row)).collect();
    assert!(!rows.is_empty(), "rows: {}", rows::names());
    say("| row | what | figure | of the rounds |\n|---|---|---|---|");
    for row in rows {
        let mut figures = Figures::default();
        for round in 1..=wanted.rounds {
            note(&format!("{}: round {round} of {}", row.name, wanted.rounds));
            let measured = (row.measure)(wanted.plan).await;
            figures.add(measured);
        }
        say(figures.table(row.name).trim_end());
    }
}

impl Wanted {
    fn read(args: Vec<String>) -> Self {
        let mut wanted = Self {
            names: Vec::new(),
            rounds: 3,
            plan: Plan {
                time: Duration::from_secs(3),
            },
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                // Cargo says this to every benchmark.
                "--bench" => {}
                "--foreman" => {
                    programs::measure_foreman(args.next().expect("a path").into());
                }
                "--rounds" => wanted.rounds = number(args.next()),
                "--seconds" => {
                    let seconds = u64::try_from(number(args.next())).expect("seconds");
                    wanted.plan.time = Duration::from_secs(seconds);
                }
                _ => wanted.names.push(arg),
            }
        }
        wanted
    }

    fn wants(&self, row: &Row) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| name == row.name)
    }
}

fn number(text: Option<String>) -> usize {
    let number = text.and_then(|text| text.parse().ok());
    number.expect("a number")
}

/// Writes a line of the result.
fn say(text: &str) {
    writeln!(io::stdout(), "{text}").expect("write the result");
}

/// Writes a line for whoever waits.
fn note(text: &str) {
    writeln!(io::stderr(), "{text}").expect("write a note");
}
