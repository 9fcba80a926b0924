//! Kills the real program at random moments under mixed load, and looks for what callers were told.
//!
//! `cargo run -p foreman-tests --bin torture -- --kills 500 --callers 1,8,64 --seed 7`
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a command for developers, which reports to them"
)]

mod history;
mod life;
mod load;
mod overlap;
mod verdict;

use std::process::ExitCode;

use verdict::Tally;

/// The name under which this program is foreman: its own process, killed like any other.
const FOREMAN: &str = "foreman";

/// What is to be done.
struct Wanted {
    kills: u32,
    callers: Vec<usize>,
    seed: u64,
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
    runtime.block_on(torture(&wanted))
}

async fn torture(wanted: &Wanted) -> ExitCode {
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    println!("seed {}, {build} build", wanted.seed);
    let share = wanted.callers.len().max(1);
    let kills = wanted
        .kills
        .div_ceil(u32::try_from(share).expect("few numbers"));
    let mut sum = Tally::default();
    for callers in &wanted.callers {
        let tally = life::run(*callers, kills, wanted.seed).await;
        println!("{callers} callers: {tally}");
        sum.add(&tally);
    }
    println!("together: {sum}");
    if sum.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Reads the command line.
fn wanted() -> Wanted {
    let mut wanted = Wanted {
        kills: 20,
        callers: vec![1, 8, 64],
        seed: u64::from(std::process::id()),
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().unwrap_or_default();
        match flag.as_str() {
            "--kills" => wanted.kills = value.parse().expect("a number of kills"),
            "--seed" => wanted.seed = value.parse().expect("a number to start from"),
            "--callers" => {
                let numbers = value.split(',').map(str::parse);
                wanted.callers = numbers
                    .collect::<Result<_, _>>()
                    .expect("numbers of callers");
            }
            _ => println!("no flag {flag}: expected --kills, --callers or --seed"),
        }
    }
    wanted
}
