//! Takes the target away from the real program for as long as is said, with callers that go on asking.
//!
//! `cargo run -p foreman-tests --bin outage -- --away 60s --flap 60s --callers 50`
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a command for developers, which reports to them"
)]

mod callers;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use foreman_stub::{Stub, parse_duration};
use foreman_tests::{Books, Builder, Foreman, eventually};
use tokio::time::{Instant, sleep};

use callers::{Crowd, Tally};

/// The name under which this program is foreman: its own process.
const FOREMAN: &str = "foreman";

/// A target that flaps is there for so long, and away for so long.
const FLAP: Duration = Duration::from_secs(1);

/// What happens to the target.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// It is away, and then back.
    Away(Duration),
    /// It comes and goes each second.
    Flap(Duration),
}

/// What is to be done.
struct Wanted {
    troubles: Vec<Trouble>,
    callers: usize,
}

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    if name == FOREMAN {
        return foreman_cli::run();
    }
    let wanted = wanted();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut is_good = true;
        for trouble in wanted.troubles {
            is_good &= outage(trouble, wanted.callers).await;
        }
        if is_good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    })
}

/// Lets callers ask before, during and after a trouble; tells whether all were answered.
async fn outage(trouble: Trouble, callers: usize) -> bool {
    let stub = foreman_tests::stub().token_pace(Duration::from_millis(2));
    let stub = stub.start().await.expect("a stub");
    let foreman = foreman().target(&stub.url()).start().await;
    let crowd = Crowd::start(foreman.url(), callers, trouble.length());
    eventually("answers before the trouble", || async {
        crowd.answered() >= callers
    })
    .await;
    let cuts = happen(trouble, &stub).await;
    let back = Instant::now();
    let before = crowd.answered();
    eventually("an answer after the trouble", || async {
        crowd.answered() > before
    })
    .await;
    let first = back.elapsed();
    let tally = crowd.stop().await;
    report(trouble, &foreman, &Outcome { cuts, first, tally })
}

/// Lets it happen, and returns how often the target went away.
async fn happen(trouble: Trouble, stub: &Stub) -> u32 {
    match trouble {
        Trouble::Away(length) => {
            stub.stop_listening().await;
            sleep(length).await;
            stub.resume_listening().await.expect("the port");
            1
        }
        Trouble::Flap(length) => {
            let end = Instant::now() + length;
            let mut cuts = 0;
            while Instant::now() < end {
                stub.stop_listening().await;
                cuts += 1;
                sleep(FLAP).await;
                stub.resume_listening().await.expect("the port");
                sleep(FLAP).await;
            }
            cuts
        }
    }
}

/// What came of it.
struct Outcome {
    cuts: u32,
    /// From the return of the target to the next answer.
    first: Duration,
    tally: Tally,
}

fn report(trouble: Trouble, foreman: &Foreman, outcome: &Outcome) -> bool {
    let Outcome { cuts, first, tally } = outcome;
    let books = Books::read(&foreman.database());
    let spent: i64 = books.rows.iter().map(|row| row.attempt).sum();
    let undone = books.rows.iter().filter(|row| row.state != "done").count();
    let faults = tally.faults.len() + books.faults.len() + undone;
    println!(
        "{trouble}: {} requests of which {} were answered, the longest wait {:.1} s; the target \
         went away {cuts} times, {spent} attempts were spent, {:.1} s from its return to the next \
         answer; {} jobs, {undone} not done, {faults} faults",
        tally.requests,
        tally.answered,
        tally.longest.as_secs_f64(),
        first.as_secs_f64(),
        books.rows.len(),
    );
    for fault in tally.faults.iter().chain(&books.faults).take(5) {
        println!("  {fault}");
    }
    // An outage is met by one attempt of one job.
    faults == 0 && tally.answered == tally.requests && spent <= i64::from(*cuts)
}

fn foreman() -> Builder {
    let program = std::env::current_exe().expect("this program");
    Builder::new(&program.to_string_lossy())
        .named(FOREMAN)
        .set("LOG", "error")
}

impl Trouble {
    const fn length(self) -> Duration {
        match self {
            Self::Away(length) | Self::Flap(length) => length,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(length) => write!(f, "away for {} s", length.as_secs()),
            Self::Flap(length) => write!(f, "flapping for {} s", length.as_secs()),
        }
    }
}

/// Reads the command line.
fn wanted() -> Wanted {
    let minute = Duration::from_mins(1);
    let mut wanted = Wanted {
        troubles: Vec::new(),
        callers: 50,
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().unwrap_or_default();
        let length = || parse_duration(&value).expect("a time such as 60s");
        match flag.as_str() {
            "--away" => wanted.troubles.push(Trouble::Away(length())),
            "--flap" => wanted.troubles.push(Trouble::Flap(length())),
            "--callers" => wanted.callers = value.parse().expect("a number of callers"),
            _ => println!("no flag {flag}: expected --away, --flap or --callers"),
        }
    }
    if wanted.troubles.is_empty() {
        wanted.troubles = vec![Trouble::Away(minute), Trouble::Flap(minute)];
    }
    wanted
}
