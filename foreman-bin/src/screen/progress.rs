//! One line at the bottom of a terminal that is written over as things go on.

use std::io::{self, Write};

use crate::telemetry::Screen;

/// Width of the bar.
const WIDTH: usize = 24;

/// A line on standard error that is written over; silent where that is no terminal.
#[derive(Debug)]
pub(crate) struct StatusLine {
    screen: Screen,
    shown: String,
}

impl StatusLine {
    /// Begins a line; nothing is written yet.
    pub(crate) fn new(screen: Screen) -> Self {
        Self {
            screen,
            shown: String::new(),
        }
    }

    /// Tells whether anybody sees it.
    pub(crate) fn is_seen(&self) -> bool {
        self.screen != Screen::Pipe
    }

    /// Shows a text in place of the last one.
    pub(crate) fn show(&mut self, err: &mut dyn Write, text: String) -> io::Result<()> {
        if !self.is_seen() || text == self.shown {
            return Ok(());
        }
        write!(err, "\r\u{1b}[K{text}")?;
        err.flush()?;
        self.shown = text;
        Ok(())
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self, err: &mut dyn Write) -> io::Result<()> {
        if self.shown.is_empty() {
            return Ok(());
        }
        self.shown.clear();
        write!(err, "\r\u{1b}[K")?;
        err.flush()
    }
}

/// Draws how much of something is there.
pub(crate) fn bar(done: usize, all: usize) -> String {
    let full = done
        .saturating_mul(WIDTH)
        .checked_div(all)
        .unwrap_or(WIDTH)
        .min(WIDTH);
    let rest = WIDTH.saturating_sub(full);
    format!("[{}{}]", "#".repeat(full), ".".repeat(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_over_on_a_terminal_and_silent_elsewhere() {
        let (mut seen, mut unseen) = (Vec::new(), Vec::new());
        let mut line = StatusLine::new(Screen::Plain);
        line.show(&mut seen, "one".to_owned()).unwrap();
        line.show(&mut seen, "one".to_owned()).unwrap();
        line.clear(&mut seen).unwrap();
        let mut line = StatusLine::new(Screen::Pipe);
        line.show(&mut unseen, "one".to_owned()).unwrap();
        line.clear(&mut unseen).unwrap();

        assert_eq!(seen, b"\r\x1b[Kone\r\x1b[K");
        assert!(unseen.is_empty());
    }

    #[test]
    fn a_bar_is_full_when_all_is_done() {
        assert_eq!(bar(1, 2), "[############............]");
        assert_eq!(bar(0, 0), "[########################]");
        assert_eq!(bar(9, 3).len(), WIDTH + 2);
    }
}
