//! Ten thousand callers wait for one slot, and ten thousand leave at once; tells what it cost.
//!
//! `cargo run --release -p foreman-tests --bin crowd -- 10000`
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a command for developers, which reports to them"
)]

use std::process::ExitCode;

use foreman_tests::{Builder, Pair, leave_at_once, stub, wait_in_line};

/// The name under which this program is foreman, a process of its own.
const FOREMAN: &str = "foreman";

fn main() -> ExitCode {
    let mut args = std::env::args();
    if args.next().is_some_and(|name| name == FOREMAN) {
        return foreman_cli::run();
    }
    let callers = args.next().map_or(Ok(10_000), |text| text.parse());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(crowd(callers.expect("a number of callers")))
}

async fn crowd(callers: usize) -> ExitCode {
    let Pair { stub, mut foreman } = Pair::start(stub(), builder(callers)).await;
    let waited = wait_in_line(&stub, &foreman, callers).await;
    println!("{callers} callers waited: {waited:?}");
    foreman.kill().await;
    let Pair { stub, foreman } = Pair::start(foreman_tests::stub(), builder(callers)).await;
    let left = leave_at_once(&stub, &foreman, callers).await;
    println!("{callers} callers left: {left:?}");
    if waited.answered == callers && waited.in_order && left.cancelled == callers {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn builder(callers: usize) -> Builder {
    let program = std::env::current_exe().expect("this program");
    Builder::new(&program.to_string_lossy())
        .named(FOREMAN)
        .set("LOG", "warn")
        .set("MAX_QUEUE", &(2 * callers).to_string())
        // The line is one of age here.
        .set("MAX_WAIT", "1h")
}
