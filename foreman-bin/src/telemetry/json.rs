//! Log lines in JSON: to the byte what the library writes, for less where a line is plain.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events as JSON objects, one a line, their fields beside the time and the level.
#[derive(Debug)]
pub(super) struct JsonLines {
    /// Writes what has more to it: a span around it, or an origin in the `log` crate.
    library: Format<Json, SystemTime>,
}

/// Writes the fields of an event.
struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    written: fmt::Result,
}

/// Writes text into a JSON string.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Default for JsonLines {
    fn default() -> Self {
        let library = Format::default().json().flatten_event(true);
        Self {
            library: library.with_span_list(false),
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
        let meta = event.metadata();
        writer.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut writer)?;
        writer.write_str(r#"","level":""#)?;
        writer.write_str(meta.level().as_str())?;
        writer.write_str(r#"""#)?;
        let mut fields = Fields {
            writer: &mut writer,
            written: Ok(()),
        };
        event.record(&mut fields);
        fields.written?;
        writer.write_str(r#","target":""#)?;
        Escaped(&mut writer).write_str(meta.target())?;
        writer.write_str("\"}\n")
    }
}

impl Fields<'_, '_> {
    fn field(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.written.is_ok() {
            self.written = self.name(field).and_then(|()| write(self.writer));
        }
    }

    fn name(&mut self, field: &Field) -> fmt::Result {
        self.writer.write_str(r#",""#)?;
        Escaped(self.writer).write_str(field.name())?;
        self.writer.write_str(r#"":"#)
    }

    /// Writes a value in quotes.
    fn text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        self.field(field, |writer| {
            writer.write_str(r#"""#)?;
            Escaped(writer).write_fmt(text)?;
            writer.write_str(r#"""#)
        });
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |writer| {
            writer.write_str(if value { "true" } else { "false" })
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, |writer| {
            let number = serde_json::to_string(&value).map_err(|_| fmt::Error)?;
            writer.write_str(&number)
        });
    }
}

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if s.bytes().all(is_plain) {
            return self.0.write_str(s);
        }
        let quoted = serde_json::to_string(s).map_err(|_| fmt::Error)?;
        let inside = quoted.get(1..quoted.len().saturating_sub(1));
        self.0.write_str(inside.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

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
            let _span = tracing::info_span!("job", job.id = 3).entered();
            tracing::info!(a = 1, "inside");
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

        assert_eq!(own.len(), 6);
        assert_eq!(own, library);
    }
}
