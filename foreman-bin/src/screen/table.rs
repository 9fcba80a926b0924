//! Rows in columns for people, with tabs between the fields for programs.

use std::io::{self, Write};

use crate::telemetry::Screen;

/// The colour of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Paint {
    /// None.
    #[default]
    None,
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// It goes on.
    Busy,
    /// It matters less.
    Dim,
    /// It is a heading.
    Head,
}

/// A field of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    paint: Paint,
}

/// Rows under headings.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    head: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
}

impl Paint {
    /// Wraps a text in the colour, where colours are shown.
    pub(crate) fn on(self, screen: Screen, text: &str) -> String {
        let code = match self {
            Self::None => return text.to_owned(),
            Self::Good => "32",
            Self::Bad => "31",
            Self::Busy => "33",
            Self::Dim => "2",
            Self::Head => "1",
        };
        match screen {
            Screen::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Screen::Plain | Screen::Pipe => text.to_owned(),
        }
    }
}

impl Cell {
    /// Makes a coloured cell.
    pub(crate) fn painted(text: impl AsRef<str>, paint: Paint) -> Self {
        // A name may hold anything; what would move the cursor is not shown.
        let text = text
            .as_ref()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Self { text, paint }
    }

    /// Returns the text as the screen shows it.
    pub(crate) fn on(&self, screen: Screen) -> String {
        self.paint.on(screen, &self.text)
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::painted(text, Paint::None)
    }
}

impl Table {
    /// Begins a table.
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self {
            head: head.map(|title| Cell::painted(title, Paint::Head)).to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(Vec::from(cells));
    }

    /// Writes it: columns and headings on a terminal, fields with tabs between them elsewhere.
    pub(crate) fn write(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        match screen {
            Screen::Pipe => {
                for row in &self.rows {
                    let fields: Vec<_> = row.iter().map(|cell| cell.text.as_str()).collect();
                    writeln!(out, "{}", fields.join("\t"))?;
                }
                Ok(())
            }
            Screen::Plain | Screen::Colour => self.write_columns(out, screen),
        }
    }

    fn write_columns(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let mut widths = vec![0_usize; self.head.len()];
        for row in all() {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        for row in all() {
            let last = row.iter().rposition(|cell| !cell.text.is_empty());
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if Some(at) > last {
                    break;
                }
                line.push_str(&cell.on(screen));
                if Some(at) < last {
                    let gap = width.saturating_sub(cell.text.chars().count());
                    line.push_str(&" ".repeat(gap.saturating_add(2)));
                }
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(screen: Screen) -> String {
        let mut table = Table::new(["ID", "STATE", "NOTE"]);
        table.row(["a".into(), Cell::painted("done", Paint::Good), "".into()]);
        table.row(["long".into(), "x\ty\u{1b}".into(), "why".into()]);
        let mut out = Vec::new();
        table.write(&mut out, screen).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_get_headings_and_columns() {
        assert_eq!(
            written(Screen::Plain),
            "ID    STATE  NOTE\na     done\nlong  x y    why\n"
        );
        assert!(written(Screen::Colour).contains("a     \u{1b}[32mdone\u{1b}[0m\n"));
    }

    #[test]
    fn programs_get_fields_between_tabs() {
        assert_eq!(written(Screen::Pipe), "a\tdone\t\nlong\tx y \twhy\n");
    }
}
