//! The program under test: the same one, built for this package so that its tests find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    foreman_cli::run()
}
