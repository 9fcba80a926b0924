//! Runs the checks of ollama-rs in order and prints one line for each.

use std::{process::ExitCode, time::Duration};

use ollama_rs::Ollama;
use tokio::time::timeout;

mod checks;
mod expect;
mod tools;
mod waiting;

const CLIENT: &str = "ollama-rs";
/// So that a hang is the failure of one check.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a check did not pass.
#[derive(Debug)]
enum Problem {
    /// It failed.
    Failed(String),
    /// It cannot be made here.
    Skipped(String),
}

/// Whatever a client fails with is told in its own words.
impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

type Outcome = Result<(), Problem>;

/// Prints the outcome of each check, and remembers whether one failed.
#[derive(Debug, Default)]
struct Report {
    failed: bool,
}

impl Report {
    async fn check(&mut self, title: &str, check: impl Future<Output = Outcome>) {
        let late = format!("no end after {PATIENCE:?}");
        let outcome = timeout(PATIENCE, check).await;
        match outcome.unwrap_or(Err(Problem::Failed(late))) {
            Ok(()) => println!("ok {CLIENT}: {title}"),
            Err(Problem::Skipped(reason)) => println!("SKIP {CLIENT}: {title} ({reason})"),
            Err(Problem::Failed(reason)) => {
                self.failed = true;
                let words: Vec<_> = reason.split_whitespace().collect();
                println!("FAIL {CLIENT}: {title} ({})", words.join(" "));
            }
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let mut report = Report::default();
    let ran = match words[..] {
        ["waiting", ordinary, interim] => waiting::run(&mut report, ordinary, interim).await,
        [url] => run(&mut report, url, None).await,
        [url, json_url] => run(&mut report, url, Some(json_url)).await,
        _ => Err(Problem::Failed(
            "usage: ollama-rs-checks URL [JSON_URL] | waiting URL INTERIM_URL".to_owned(),
        )),
    };
    if let Err(problem) = ran {
        eprintln!("{problem:?}");
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(report.failed))
}

async fn run(report: &mut Report, url: &str, json_url: Option<&str>) -> Outcome {
    println!("== {CLIENT} {}", env!("OLLAMA_RS_VERSION"));
    let ollama = Ollama::try_new(url)?;
    checks::run(report, &ollama).await;
    tools::run(report, &ollama, json_url).await;
    Ok(())
}
