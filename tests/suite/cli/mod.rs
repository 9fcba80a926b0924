//! The command line against a running foreman: what it prints, where, and how it ends.

mod jobs;
mod machine;
mod submit;

use std::process::Stdio;

use foreman_cli::{Environment, Output, Screen, run_from};
use foreman_tests::{Foreman, Pair, stub, within};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{A, foreman};

/// No foreman will ever have a job of this id.
const NOBODY: &str = "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC";

/// A command that has ended.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn bad(self, code: i32, told: &str) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        assert!(self.err.contains(told), "{}", self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    fn line(&self) -> &str {
        self.out.trim_end()
    }
}

/// Runs a command against a foreman, its output into pipes.
async fn run(foreman: &Foreman, args: &[&str]) -> Ran {
    run_with(foreman, args, "").await
}

async fn run_with(foreman: &Foreman, args: &[&str], input: &str) -> Ran {
    let surroundings = crate::foreman().set("URL", foreman.url());
    let mut command = surroundings.command();
    let mut child = command.args(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = within("a command to end", child.wait_with_output()).await;
    let output = output.unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command as on a terminal without colours.
async fn on_terminal(foreman: &Foreman, args: &[&str]) -> Ran {
    let environment = Environment {
        variables: vec![("FOREMAN_URL".into(), foreman.url().into())],
        directory: "/nowhere".into(),
        stdout: Screen::Plain,
        stderr: Screen::Plain,
    };
    let args: Vec<String> = ["foreman"]
        .iter()
        .chain(args)
        .map(|it| (*it).to_owned())
        .collect();
    let (exit, out, err) = tokio::task::spawn_blocking(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output {
            out: &mut out,
            err: &mut err,
        };
        let exit = run_from(args, &environment, &mut output);
        (exit, out, err)
    })
    .await
    .unwrap();
    Ran {
        code: Some(i32::from(exit.code())),
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

async fn pair() -> Pair {
    Pair::start(stub(), foreman()).await
}

/// Submits a prompt and returns the id of its job.
async fn submit(foreman: &Foreman, args: &[&str]) -> String {
    let all: Vec<&str> = ["submit", "-m", A].iter().chain(args).copied().collect();
    run(foreman, &all).await.good().line().to_owned()
}
