//! The foreman program.

use std::process::ExitCode;

fn main() -> ExitCode {
    foreman_cli::run()
}
