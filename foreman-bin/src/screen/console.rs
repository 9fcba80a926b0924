//! Where a command writes, and in which form.

use std::io;

use serde::Serialize;

use super::{Cell, Paint, Table};
use crate::commands::Form;
use crate::program::{Environment, Output};
use crate::telemetry::Screen;

/// Where a command writes, and in which form.
pub(crate) struct Console<'a, 'b> {
    /// The streams.
    pub(crate) output: &'a mut Output<'b>,
    /// What standard output is connected to.
    pub(crate) stdout: Screen,
    /// What standard error is connected to.
    pub(crate) stderr: Screen,
    /// The form of the data.
    pub(crate) form: Form,
}

impl<'a, 'b> Console<'a, 'b> {
    /// Takes the streams of the program.
    pub(crate) fn new(output: &'a mut Output<'b>, environment: &Environment, json: bool) -> Self {
        Self {
            output,
            stdout: environment.stdout,
            stderr: environment.stderr,
            form: if json { Form::Json } else { Form::Table },
        }
    }

    /// Writes a value as JSON on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.output.out, value)?;
        self.output.out.write_all(b"\n")
    }

    /// Writes a table.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        table.write(self.output.out, self.stdout)
    }

    /// Writes a line of data.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.output.out, "{text}")
    }

    /// Writes data as it is, so that it is seen at once.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.out.write_all(bytes)?;
        self.output.out.flush()
    }

    /// Writes a remark to standard error.
    pub(crate) fn remark(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.output.err, "{text}")
    }

    /// Writes a pair of a list, such as `state  done`.
    pub(crate) fn pairs(&mut self, pairs: Vec<(&str, Cell)>) -> io::Result<()> {
        let width = pairs.iter().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or_default();
        for (name, cell) in pairs {
            let name = match self.stdout {
                Screen::Pipe => format!("{name}\t"),
                Screen::Plain | Screen::Colour => {
                    Paint::Dim.on(self.stdout, &format!("{name:width$}  "))
                }
            };
            let text = cell.on(self.stdout);
            writeln!(self.output.out, "{name}{text}")?;
        }
        Ok(())
    }
}
