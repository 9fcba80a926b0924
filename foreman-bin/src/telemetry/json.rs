//! Log lines in JSON: to the byte what the library writes, for less where a line is plain.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events as JSON objects, one a line, their fields beside the time and the level.
#[derive(Debug)]
pub(super) struct JsonLines {
    /// Writes what has more to it: a span around it, or an origin in the `log` crate.
    library: Format<Json, Now>,
}

/// Writes the time of a line, in microseconds.
#[derive(Debug)]
struct Now;

/// Writes the fields of an event, each with a comma before it.
struct Fields<'l> {
    line: &'l mut String,
    written: fmt::Result,
}

/// Writes text into a JSON string.
struct Escaped<'l>(&'l mut String);

thread_local! {
    /// The line that is being written; its room is used again.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
    /// A second since 1970, and its date and time: many lines are written within one.
    static SECOND: Cell<(i64, [u8; 19])> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
}

/// Microseconds of a second.
const MICROS: i64 = 1_000_000;

/// Beyond this, the room of a line is not kept.
const LONG: usize = 4096;

impl Default for JsonLines {
    fn default() -> Self {
        let library = Format::default().json().flatten_event(true);
        Self {
            library: library.with_span_list(false).with_timer(Now),
        }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.parent().is_some() || ctx.lookup_current().is_some() || event.is_log() {
            return self.library.format_event(ctx, writer, event);
        }
        // Not borrowed meanwhile: a value may write a line of its own.
        let mut line = LINE.take();
        let written = plain(&mut line, event).and_then(|()| writer.write_str(&line));
        line.clear();
        if line.capacity() <= LONG {
            LINE.set(line);
        }
        written
    }
}

fn plain(line: &mut String, event: &Event<'_>) -> fmt::Result {
    let meta = event.metadata();
    line.push_str(r#"{"timestamp":""#);
    Now.format_time(&mut Writer::new(line))?;
    line.push_str(r#"","level":""#);
    line.push_str(meta.level().as_str());
    line.push('"');
    let mut fields = Fields {
        line,
        written: Ok(()),
    };
    event.record(&mut fields);
    fields.written?;
    line.push_str(r#","target":""#);
    Escaped(line).write_str(meta.target())?;
    line.push_str("\"}\n");
    Ok(())
}

impl FormatTime for Now {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write_time(w, jiff::Timestamp::now())
    }
}

fn write_time(w: &mut Writer<'_>, time: jiff::Timestamp) -> fmt::Result {
    let micros = time.as_microsecond();
    let (second, micros) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
    let date = match SECOND.get() {
        (known, date) if known == second => date,
        _ => {
            let date = date_of(second)?;
            SECOND.set((second, date));
            date
        }
    };
    w.write_str(std::str::from_utf8(&date).map_err(|_| fmt::Error)?)?;
    write!(w, ".{micros:06}Z")
}

fn date_of(second: i64) -> Result<[u8; 19], fmt::Error> {
    let time = jiff::Timestamp::from_second(second).map_err(|_| fmt::Error)?;
    let date = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    date.into_bytes().try_into().map_err(|_| fmt::Error)
}

impl Fields<'_> {
    fn field(&mut self, field: &Field, write: impl FnOnce(&mut String) -> fmt::Result) {
        if self.written.is_ok() {
            self.written = self.name(field).and_then(|()| write(self.line));
        }
    }

    fn name(&mut self, field: &Field) -> fmt::Result {
        self.line.push_str(r#",""#);
        Escaped(self.line).write_str(field.name())?;
        self.line.push_str(r#"":"#);
        Ok(())
    }

    /// Writes a value in quotes.
    fn text(&mut self, field: &Field, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        self.field(field, |line| {
            line.push('"');
            write(&mut Escaped(line))?;
            line.push('"');
            Ok(())
        });
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, |text| write!(text, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, |text| text.write_str(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |line| {
            line.push_str(if value { "true" } else { "false" });
            Ok(())
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, |line| {
            let number = serde_json::to_string(&value).map_err(|_| fmt::Error)?;
            line.push_str(&number);
            Ok(())
        });
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let is_plain = |byte: u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..);
        // Without a way out in between, many bytes are looked at in one step.
        if s.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            self.0.push_str(s);
            return Ok(());
        }
        let quoted = serde_json::to_string(s).map_err(|_| fmt::Error)?;
        let inside = quoted.get(1..quoted.len().saturating_sub(1));
        self.0.push_str(inside.unwrap_or_default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tracing::field::Empty;

    use super::*;
    use crate::telemetry::tests::Sink;

    /// What is written of some events, but for the time.
    fn written(format: impl Fn(Sink) -> tracing::Dispatch) -> Vec<String> {
        let sink = Sink::default();
        let error: &dyn Error = &fmt::Error;
        tracing::dispatcher::with_default(&format(sink.clone()), || {
            tracing::info!("nothing but words");
            tracing::warn!(
                a = 1,
                b = -1,
                c = 1.5,
                d = f64::NAN,
                e = true,
                "numbers {}",
                7
            );
            tracing::error!(a = "q\"\\\n\u{1}\u{7f}é", b = ?Some("x\"y"), c = %'\t', "te\"xt");
            tracing::info!(target: "own \"target\"", status = 200, none = None::<u64>, "x");
            tracing::info!(big = u128::MAX, error);
            let span = tracing::info_span!("job", job.id = 3, what = "q\"", late = Empty).entered();
            tracing::info!(a = 1, "inside");
            span.record("late", None::<u64>);
            span.record("late", true);
            tracing::info!("inside");
            let _bare = tracing::info_span!("bare").entered();
            tracing::info!("inside of both");
        });
        let text = sink.text();
        let without_time = |line: &str| {
            let (start, rest) = line.split_at(r#"{"timestamp":""#.len());
            format!("{start}{}", rest.split_once('"').unwrap().1)
        };
        text.lines().map(without_time).collect()
    }

    #[test]
    fn a_line_is_what_the_library_would_have_written() {
        let lines = |sink: Sink| {
            tracing_subscriber::fmt()
                .with_writer(move || sink.clone())
                .json()
        };

        let own = written(|sink| {
            lines(sink)
                .event_format(JsonLines::default())
                .finish()
                .into()
        });
        let library = written(|sink| {
            let lines = lines(sink).flatten_event(true).with_span_list(false);
            lines.finish().into()
        });

        assert_eq!(own.len(), 8);
        assert_eq!(own, library);
    }

    #[test]
    fn a_time_is_written_in_microseconds() {
        for (micros, expected) in [
            (1_795_305_675_000_007, "2026-11-22T00:01:15.000007Z"),
            (1_795_305_675_123_456, "2026-11-22T00:01:15.123456Z"),
            (1_795_305_676_000_000, "2026-11-22T00:01:16.000000Z"),
            (0, "1970-01-01T00:00:00.000000Z"),
            (-500_000, "1969-12-31T23:59:59.500000Z"),
        ] {
            let mut written = String::new();
            let time = jiff::Timestamp::from_microsecond(micros).unwrap();

            write_time(&mut Writer::new(&mut written), time).unwrap();

            assert_eq!(written, expected);
        }
    }
}
