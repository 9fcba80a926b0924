//! The events of a job's stream, cut out of what comes over the wire.

use serde::Deserialize;
use serde_json::Value;

/// One event, with the text it came as.
#[derive(Debug, Clone)]
pub(crate) struct JobEvent {
    /// Its number.
    pub(crate) n: u64,
    /// The attempt it belongs to.
    pub(crate) attempt: u64,
    /// What it is.
    pub(crate) kind: String,
    /// The new state, where it is about one.
    pub(crate) state: Option<String>,
    /// The output of the target, where it is that.
    pub(crate) data: Vec<u8>,
    /// Why the job failed, where it tells of that.
    pub(crate) error: Option<String>,
    /// The line.
    pub(crate) line: String,
}

#[derive(Deserialize)]
struct Wire {
    n: u64,
    #[serde(default)]
    attempt: u64,
    #[serde(rename = "type")]
    kind: String,
    state: Option<String>,
    data: Option<String>,
    data_base64: Option<String>,
    error: Option<Value>,
}

/// Cuts lines out of chunks and reads each as an event.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    partial: Vec<u8>,
}

impl EventReader {
    /// Takes a piece of the stream and gives the events that are complete with it.
    ///
    /// # Errors
    ///
    /// Says which line is no event.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<JobEvent>, String> {
        self.partial.extend_from_slice(piece);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let rest = self.partial.split_off(end.saturating_add(1));
        let lines = std::mem::replace(&mut self.partial, rest);
        lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .map(read)
            .collect()
    }
}

fn read(line: &[u8]) -> Result<JobEvent, String> {
    let wire: Wire = serde_json::from_slice(line).map_err(|error| format!("an event: {error}"))?;
    let data = match (wire.data, wire.data_base64) {
        (Some(text), _) => text.into_bytes(),
        (None, Some(text)) => decode(&text).ok_or("an event with broken base64")?,
        (None, None) => Vec::new(),
    };
    let error = wire.error.and_then(|error| {
        let message = error.get("message").unwrap_or(&error);
        message.as_str().map(str::to_owned)
    });
    Ok(JobEvent {
        n: wire.n,
        attempt: wire.attempt,
        kind: wire.kind,
        state: wire.state,
        data,
        error,
        line: String::from_utf8_lossy(line).into_owned(),
    })
}

/// Reads base64 of the standard alphabet.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter.wrapping_sub(b'A'),
            b'a'..=b'z' => letter.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => letter.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held = held.saturating_add(6);
        if held >= 8 {
            held = held.saturating_sub(8);
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1_u32 << held).saturating_sub(1);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_however_the_wire_cut_them() {
        let stream = "{\"n\":1,\"attempt\":0,\"type\":\"state\",\"state\":\"queued\"}\n\
            {\"n\":2,\"attempt\":1,\"type\":\"chunk\",\"data\":\"h\u{e9}\"}\n";
        for cut in 1..stream.len() {
            let mut reader = EventReader::default();
            let (head, tail) = stream.as_bytes().split_at(cut);

            let mut events = reader.push(head).unwrap();
            events.extend(reader.push(tail).unwrap());

            assert_eq!(events.len(), 2);
            assert_eq!(events[0].state.as_deref(), Some("queued"));
            assert_eq!(
                (events[1].n, &events[1].data[..]),
                (2, "h\u{e9}".as_bytes())
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_come_back_as_they_were() {
        let line = b"{\"n\":3,\"type\":\"chunk\",\"data_base64\":\"AP/+gA==\"}\n";

        let events = EventReader::default().push(line).unwrap();

        assert_eq!(events[0].data, [0, 255, 254, 128]);
    }

    #[test]
    fn what_is_no_event_is_told() {
        assert!(EventReader::default().push(b"<html>\n").is_err());
    }
}
