//! Log lines: what is written, in which form, and where.

mod json;
mod lines;

use std::fmt;
use std::io;
use std::str::FromStr;

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_log::{AsLog, LogTracer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

pub use lines::Log;

use json::JsonLines;
use lines::Lines;

/// What a stream of the program is connected to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Screen {
    /// A file, a pipe or a supervisor.
    #[default]
    Pipe,
    /// A terminal on which colour is not wanted.
    Plain,
    /// A terminal.
    Colour,
}

/// The form of the log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One short line each, for people.
    Human,
    /// One JSON object a line, for machines.
    Json,
}

/// Which log lines are written: a level, or directives by module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// A text that is no log filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {LOG_FILTER}")]
pub struct InvalidLogFilter;

/// What a log filter looks like, for messages.
pub(crate) const LOG_FILTER: &str = "a level (off, error, warn, info, debug, trace) or a filter \
    such as info,foreman_scheduler=debug";

/// Why no log can be written.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not understood.
    #[error("log filter {0:?} is not understood")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// The thread that writes lines in time does not start.
    #[error("start the thread of the log")]
    Thread(#[source] io::Error),
    /// The process has a subscriber already.
    #[error("the log of this process is set up already")]
    Subscriber(#[source] tracing::dispatcher::SetGlobalDefaultError),
    /// The process has a logger already.
    #[error("the logger of this process is set up already")]
    Logger(#[source] tracing_log::log_tracer::SetLoggerError),
}

impl LogFormat {
    /// Returns the word used in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Human => "human",
            Self::Json => "json",
        }
    }

    fn is_human(self, screen: Screen) -> bool {
        match self {
            Self::Auto => screen != Screen::Pipe,
            Self::Human => true,
            Self::Json => false,
        }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;

    fn from_str(text: &str) -> Result<Self, InvalidLogFilter> {
        let text = text.trim();
        // A misspelt level would be taken for the name of a module, and nothing be written.
        let wrong = |part: &str| {
            let level = !part.contains('=');
            level && (part.is_empty() || part.parse::<LevelFilter>().is_err())
        };
        if !text.contains('[') && text.split(',').any(wrong) {
            return Err(InvalidLogFilter);
        }
        EnvFilter::builder()
            .parse(text)
            .map_err(|_| InvalidLogFilter)?;
        Ok(Self(text.to_owned()))
    }
}

/// Sends the log of this process to standard error, that of the `log` crate included.
///
/// Each line is written at once to a terminal. Elsewhere those of claims and of requests that
/// ended wait for company, until what is returned is dropped: they are written with the next other
/// line, or within some milliseconds.
///
/// # Errors
///
/// Fails when the process has a subscriber or a logger already.
pub fn init(
    filter: &LogFilter,
    format: LogFormat,
    screen: Screen,
) -> Result<Option<Log>, TelemetryError> {
    let lines = Lines::new(io::stderr());
    let dispatch = subscriber(filter, format, screen, lines.clone())?;
    tracing::dispatcher::set_global_default(dispatch).map_err(TelemetryError::Subscriber)?;
    // The connection pool writes through `log`.
    LogTracer::builder()
        .with_max_level(LevelFilter::current().as_log())
        // What it says, the store says too; its lines would show paths of the building machine.
        .ignore_crate("rusqlite_migration")
        .init()
        .map_err(TelemetryError::Logger)?;
    let together = (screen == Screen::Pipe).then(|| lines.together());
    together.transpose().map_err(TelemetryError::Thread)
}

fn subscriber<W>(
    filter: &LogFilter,
    format: LogFormat,
    screen: Screen,
    writer: W,
) -> Result<Dispatch, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&filter.0)
        .map_err(|error| TelemetryError::Filter(filter.0.clone(), error))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would complain on standard error, and panic where that is what cannot be written.
        .log_internal_errors(false)
        .with_writer(writer);
    Ok(if format.is_human(screen) {
        let colour = screen == Screen::Colour;
        Dispatch::new(lines.with_ansi(colour).compact().finish())
    } else {
        let lines = lines.json().event_format(JsonLines::default());
        Dispatch::new(lines.finish())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use rstest::rstest;

    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        pub(super) fn text(&self) -> String {
            let bytes = self.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        }
    }

    impl io::Write for Sink {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            let bytes = self.0.lock();
            bytes
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(filter: &str, format: LogFormat, screen: Screen) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let filter = filter.parse().unwrap();
        let dispatch = subscriber(&filter, format, screen, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(job = "01J", attempt = 2, "job done");
            tracing::debug!("a decision");
        });
        sink.text()
    }

    #[test]
    fn a_json_line_has_the_fields_of_the_event_at_its_top() {
        let text = written("info", LogFormat::Auto, Screen::Pipe);

        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "job done");
        assert_eq!((&line["job"], &line["attempt"]), (&"01J".into(), &2.into()));
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].is_string() && line["target"].is_string());
    }

    #[rstest]
    #[case(LogFormat::Auto, Screen::Colour, true)]
    #[case(LogFormat::Auto, Screen::Plain, false)]
    #[case(LogFormat::Human, Screen::Pipe, false)]
    fn people_get_colour_only_on_a_terminal(
        #[case] format: LogFormat,
        #[case] screen: Screen,
        #[case] colour: bool,
    ) {
        let text = written("info", format, screen);

        assert!(text.contains("job done") && !text.starts_with('{'));
        assert_eq!(text.contains('\u{1b}'), colour);
    }

    #[rstest]
    #[case("info", 1)]
    #[case("DEBUG", 2)]
    #[case("off", 0)]
    #[case("warn,foreman_cli=debug", 2)]
    fn the_filter_decides_what_is_written(#[case] filter: &str, #[case] lines: usize) {
        let text = written(filter, LogFormat::Json, Screen::Pipe);

        assert_eq!(text.lines().count(), lines);
    }

    #[rstest]
    #[case("inof")]
    #[case("")]
    #[case("info,foreman_server")]
    #[case("foreman_server=loud")]
    #[case("[{")]
    fn a_filter_that_would_silence_the_log_by_mistake_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<LogFilter>(), Err(InvalidLogFilter));
    }
}
