//! `foreman check`: shows the effective settings and what is wrong with them.

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Exit;
use crate::program::{Output, report};
use crate::settings::{Effective, Loaded, Source};

/// The form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Columns for people.
    Table,
    /// One JSON object.
    Json,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    settings: Vec<Row<'a>>,
    problems: Vec<ProblemRow<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    key: &'a str,
    variable: String,
    value: Option<&'a str>,
    source: SourceRow,
}

#[derive(Serialize)]
struct SourceRow {
    kind: &'static str,
    name: String,
}

#[derive(Serialize)]
struct ProblemRow<'a> {
    key: Option<&'a str>,
    source: Option<SourceRow>,
    message: &'a str,
}

/// Writes the settings to standard output and the problems to standard error.
pub(crate) fn check(loaded: &Loaded, form: Form, output: &mut Output<'_>) -> io::Result<Exit> {
    match form {
        Form::Table => write_table(&loaded.effective, output.out)?,
        Form::Json => write_json(loaded, output.out)?,
    }
    report(&loaded.problems, output)?;
    Ok(if loaded.problems.is_empty() {
        Exit::Ok
    } else {
        Exit::Config
    })
}

fn write_table(rows: &[Effective], out: &mut dyn Write) -> io::Result<()> {
    let cells: Vec<[String; 3]> = std::iter::once(["SETTING", "VALUE", "SOURCE"].map(String::from))
        .chain(rows.iter().map(|row| {
            let value = row.value.clone().unwrap_or_else(|| "-".to_owned());
            [row.key.to_owned(), value, row.source.to_string()]
        }))
        .collect();
    let width = |text: &String| text.chars().count();
    let keys = cells.iter().map(|[key, _, _]| width(key)).max();
    let values = cells.iter().map(|[_, value, _]| width(value)).max();
    let (keys, values) = (keys.unwrap_or_default(), values.unwrap_or_default());
    for [key, value, source] in &cells {
        writeln!(out, "{key:keys$}  {value:values$}  {source}")?;
    }
    Ok(())
}

fn write_json(loaded: &Loaded, out: &mut dyn Write) -> io::Result<()> {
    let report = Report {
        ok: loaded.problems.is_empty(),
        settings: loaded.effective.iter().map(Row::from).collect(),
        problems: loaded
            .problems
            .iter()
            .map(|problem| ProblemRow {
                key: problem.key(),
                source: problem.source().map(SourceRow::from),
                message: problem.message(),
            })
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

impl<'a> From<&'a Effective> for Row<'a> {
    fn from(row: &'a Effective) -> Self {
        Self {
            key: row.key,
            variable: row.variable(),
            value: row.value.as_deref(),
            source: SourceRow::from(&row.source),
        }
    }
}

impl From<&Source> for SourceRow {
    fn from(source: &Source) -> Self {
        Self {
            kind: source.kind(),
            name: source.to_string(),
        }
    }
}
