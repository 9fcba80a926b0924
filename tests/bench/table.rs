//! The figures of a row: medians over the rounds.

use std::time::Duration;

/// One figure of one round.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
}

/// How a figure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Times something else.
    Ratio,
    PerSecond,
    Micros,
    Millis,
    Mib,
    Kib,
    Percent,
}

/// The figures of all rounds of a row.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rounds: Vec<Vec<Figure>>,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
        }
    }

    /// A short time.
    pub(crate) fn micros(what: impl Into<String>, time: Duration) -> Self {
        Self::new(what, time.as_secs_f64() * 1e6, Unit::Micros)
    }

    /// By how much a time is longer than another.
    pub(crate) fn added(what: impl Into<String>, time: Duration, than: Duration) -> Self {
        let added = time.as_secs_f64() - than.as_secs_f64();
        Self::new(what, added * 1e6, Unit::Micros)
    }

    fn text(value: f64, unit: Unit) -> String {
        match unit {
            Unit::Ratio => format!("{value:.2}"),
            Unit::PerSecond => format!("{value:.0}/s"),
            Unit::Micros => format!("{value:.1} µs"),
            Unit::Millis => format!("{value:.2} ms"),
            Unit::Mib => format!("{value:.1} MiB"),
            Unit::Kib => format!("{value:.2} KiB"),
            Unit::Percent => format!("{value:.3} %"),
        }
    }
}

impl Figures {
    pub(crate) fn add(&mut self, round: Vec<Figure>) {
        self.rounds.push(round);
    }

    /// Returns the lines of the table.
    pub(crate) fn table(&self, name: &str) -> String {
        let first = self.rounds.first().map(Vec::as_slice).unwrap_or_default();
        let lines = first.iter().map(|figure| {
            let mut values: Vec<f64> = self
                .rounds
                .iter()
                .flatten()
                .filter(|other| other.what == figure.what)
                .map(|other| other.value)
                .collect();
            let all: Vec<String> = values
                .iter()
                .map(|value| Figure::text(*value, figure.unit))
                .collect();
            values.sort_by(f64::total_cmp);
            let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
            let median = Figure::text(median, figure.unit);
            format!(
                "| {name} | {} | {median} | {} |\n",
                figure.what,
                all.join(", ")
            )
        });
        lines.collect()
    }
}
