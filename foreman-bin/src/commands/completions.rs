//! `foreman completions`: what a shell needs to complete command lines of foreman.

use std::io;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;
use crate::program::Output;

/// Arguments of `foreman completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  foreman completions bash > ~/.local/share/bash-completion/completions/foreman
  foreman completions zsh > \"${fpath[1]}/_foreman\"
  foreman completions fish > ~/.config/fish/completions/foreman.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: KnownShell,
}

/// The shells that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

/// Writes the script to standard output.
pub(crate) fn write(args: &CompletionsArgs, output: &mut Output<'_>) -> io::Result<Exit> {
    let shell = match args.shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "foreman", &mut script);
    output.out.write_all(&script)?;
    Ok(Exit::Ok)
}
