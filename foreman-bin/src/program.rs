//! Runs the program: reads the command line, does the command, says how it ended.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::{Cli, Command, ServeArgs};
use crate::commands::{ask, backup, check, completions, serve};
use crate::exit::Exit;
#[cfg(feature = "fail-points")]
use crate::fail_points;
use crate::settings::{Input, Problem, load};
use crate::telemetry::Screen;

/// What surrounds the program, apart from its arguments.
#[derive(Clone, Default)]
pub struct Environment {
    /// The environment variables.
    pub variables: Vec<(OsString, OsString)>,
    /// Where relative paths start; empty for the working directory.
    pub directory: PathBuf,
    /// What standard output is connected to.
    pub stdout: Screen,
    /// What standard error is connected to.
    pub stderr: Screen,
}

impl Environment {
    fn of_process() -> Self {
        let variables: Vec<_> = std::env::vars_os().collect();
        let plain = variables
            .iter()
            .any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
        Self {
            variables,
            directory: PathBuf::new(),
            stdout: screen(io::stdout().is_terminal(), plain),
            stderr: screen(io::stderr().is_terminal(), plain),
        }
    }
}

// The variables hold secrets: only their number is shown.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.len())
            .field("directory", &self.directory)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish()
    }
}

/// Where the program writes: data to `out`, everything else to `err`.
pub struct Output<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

/// Runs the program as the operating system started it.
pub fn run() -> ExitCode {
    let environment = Environment::of_process();
    // Not locked: the log lines of other threads go to standard error too.
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut output = Output {
        out: &mut out,
        err: &mut err,
    };
    let body = AssertUnwindSafe(|| run_from(std::env::args_os(), &environment, &mut output));
    catch_unwind(body).unwrap_or(Exit::Internal).into()
}

/// Runs the program with the arguments, surroundings and output given.
///
/// The first argument is the program's own name.
pub fn run_from<A>(args: A, environment: &Environment, output: &mut Output<'_>) -> Exit
where
    A: IntoIterator,
    A::Item: Into<OsString> + Clone,
{
    let done = match Cli::try_parse_from(args) {
        Ok(cli) => dispatch(cli, environment, output),
        Err(error) => usage(&error, environment, output),
    };
    match done.and_then(|exit| output.out.flush().map(|()| exit)) {
        Ok(exit) => exit,
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(_) => Exit::Failed,
    }
}

fn dispatch(cli: Cli, environment: &Environment, output: &mut Output<'_>) -> io::Result<Exit> {
    let mut input = Input {
        variables: environment.variables.clone(),
        directory: environment.directory.clone(),
        config: cli.config,
        flags: Vec::new(),
    };
    match cli.command {
        Command::Check(args) => check::check(&load(&input), args.form(), output),
        Command::Serve(args) => {
            input.flags = args.flags();
            run_serve(&args, &input, environment, output)
        }
        Command::Remote(command) => ask(&command, &input, environment, output),
        Command::Backup(args) => backup::copy(&args, input, environment, output),
        Command::Completions(args) => completions::write(&args, output),
    }
}

fn run_serve(
    args: &ServeArgs,
    input: &Input,
    environment: &Environment,
    output: &mut Output<'_>,
) -> io::Result<Exit> {
    let options = match args.options(environment.stderr) {
        Ok(options) => options,
        Err(error) => return usage(&error, environment, output),
    };
    let settings = match load(input).into_settings() {
        Ok(settings) => settings,
        Err(problems) => {
            report(&problems, output)?;
            return Ok(Exit::Config);
        }
    };
    #[cfg(feature = "fail-points")]
    let options = match fail_points::armed(options, &environment.variables) {
        Ok(options) => options,
        Err(error) => {
            writeln!(output.err, "error: {error}")?;
            return Ok(Exit::Usage);
        }
    };
    match serve::serve(settings, options, &mut *output.out) {
        Ok(()) => Ok(Exit::Ok),
        Err(error) => {
            writeln!(output.err, "error: {}", chain(&error))?;
            Ok(error.exit())
        }
    }
}

/// Writes problems to standard error, one a line.
pub(crate) fn report(problems: &[Problem], output: &mut Output<'_>) -> io::Result<()> {
    for problem in problems {
        writeln!(output.err, "error: {problem}")?;
    }
    Ok(())
}

fn usage(
    error: &clap::Error,
    environment: &Environment,
    output: &mut Output<'_>,
) -> io::Result<Exit> {
    let wanted = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let (stream, screen, exit) = if wanted {
        (&mut *output.out, environment.stdout, Exit::Ok)
    } else {
        (&mut *output.err, environment.stderr, Exit::Usage)
    };
    let text = error.render();
    match screen {
        Screen::Colour => write!(stream, "{}", text.ansi())?,
        Screen::Plain | Screen::Pipe => write!(stream, "{text}")?,
    }
    Ok(exit)
}

/// Writes an error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn screen(terminal: bool, plain: bool) -> Screen {
    match (terminal, plain) {
        (false, _) => Screen::Pipe,
        (true, true) => Screen::Plain,
        (true, false) => Screen::Colour,
    }
}
