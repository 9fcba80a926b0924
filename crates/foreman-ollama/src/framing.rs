//! Puts the pieces of a streamed answer together to whole lines or events.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem;

/// No line of an answer is longer: Ollama's own client gives up at 8 MB.
const MAX_LINE: usize = 8 * 1024 * 1024;

/// What separates the parts of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One JSON object a line.
    Ndjson,
    /// Server-sent events, each followed by a blank line.
    Sse,
    /// Nothing: pieces are passed on as they come.
    Opaque,
}

impl Framing {
    /// Tells the framing of an answer from its headers.
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match content_type.as_str() {
            "application/x-ndjson" => Self::Ndjson,
            "text/event-stream" => Self::Sse,
            _ => Self::Opaque,
        }
    }

    /// Returns the index after the last boundary in `piece`, which follows `before`.
    fn last_boundary(self, before: &[u8], piece: &[u8]) -> Option<usize> {
        match self {
            Self::Ndjson => memchr::memrchr(b'\n', piece).map(|at| at.saturating_add(1)),
            Self::Sse => blank_line_inside(piece).or_else(|| blank_line_across(before, piece)),
            Self::Opaque => Some(piece.len()),
        }
    }
}

/// A line, or an event, that is longer than any client could read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of the answer is longer than {MAX_LINE} bytes")]
pub struct LineTooLong;

/// Joins what the network split, and never what the target sent as two.
#[derive(Debug)]
pub struct ChunkAssembler {
    framing: Framing,
    partial: BytesMut,
}

impl ChunkAssembler {
    /// Starts with nothing.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            partial: BytesMut::new(),
        }
    }

    /// Takes a piece and returns what is complete with it, if anything.
    ///
    /// A piece that is complete by itself is returned as it is, without a copy.
    ///
    /// # Errors
    ///
    /// A line that never ends.
    pub fn push(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, LineTooLong> {
        if piece.is_empty() {
            return Ok(None);
        }
        let Some(end) = self.framing.last_boundary(&self.partial, &piece) else {
            self.partial.extend_from_slice(&piece);
            return if self.partial.len() > MAX_LINE {
                Err(LineTooLong)
            } else {
                Ok(None)
            };
        };
        let complete = piece.split_to(end);
        let whole = if self.partial.is_empty() {
            complete
        } else {
            self.partial.extend_from_slice(&complete);
            self.partial.split().freeze()
        };
        self.partial.extend_from_slice(&piece);
        Ok(Some(whole))
    }

    /// Returns what came after the last boundary.
    pub fn finish(self) -> Option<Bytes> {
        (!self.partial.is_empty()).then(|| self.partial.freeze())
    }
}

fn blank_line_inside(piece: &[u8]) -> Option<usize> {
    let plain = memmem::rfind(piece, b"\n\n").map(|at| at.saturating_add(2));
    let windows = memmem::rfind(piece, b"\n\r\n").map(|at| at.saturating_add(3));
    plain.max(windows)
}

/// Finds a blank line that began before the piece.
fn blank_line_across(before: &[u8], piece: &[u8]) -> Option<usize> {
    let ends = |tail: &[u8]| before.ends_with(tail);
    if piece.starts_with(b"\n") && (ends(b"\n") || ends(b"\n\r")) {
        Some(1)
    } else if piece.starts_with(b"\r\n") && ends(b"\n") {
        Some(2)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn assemble(framing: Framing, pieces: &[&[u8]]) -> (Vec<Bytes>, Option<Bytes>) {
        let mut assembler = ChunkAssembler::new(framing);
        let whole = pieces
            .iter()
            .filter_map(|piece| assembler.push(Bytes::copy_from_slice(piece)).unwrap())
            .collect();
        (whole, assembler.finish())
    }

    /// Cuts each chunk at a place of its own.
    fn split<'a>(chunks: &'a [Vec<u8>], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        for (chunk, cut) in chunks.iter().zip(cuts.iter().cycle()) {
            let (left, right) = chunk.split_at(cut % (chunk.len() + 1));
            pieces.extend([left, right]);
        }
        pieces
    }

    #[rstest]
    #[case("application/x-ndjson", Framing::Ndjson)]
    #[case("text/event-stream; charset=utf-8", Framing::Sse)]
    #[case("application/json; charset=utf-8", Framing::Opaque)]
    fn the_content_type_tells_the_framing(#[case] content_type: &str, #[case] framing: Framing) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());

        assert_eq!(Framing::of(&headers), framing);
        assert_eq!(Framing::of(&HeaderMap::new()), Framing::Opaque);
    }

    #[test]
    fn a_whole_chunk_passes_without_a_copy() {
        let chunk = Bytes::from_static(b"{\"a\":1}\n");

        let passed = ChunkAssembler::new(Framing::Ndjson)
            .push(chunk.clone())
            .unwrap()
            .unwrap();

        assert_eq!(passed.as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn two_events_sent_as_one_chunk_stay_one_chunk() {
        let (whole, rest) = assemble(Framing::Sse, &[b"data: 1\n\ndata: [DONE]\n\n"]);

        assert_eq!((whole.len(), rest), (1, None));
    }

    #[test]
    fn an_unterminated_line_is_the_rest() {
        let (whole, rest) = assemble(Framing::Ndjson, &[b"{}\n{\"a\"", b":1}"]);

        assert_eq!(whole, [Bytes::from_static(b"{}\n")]);
        assert_eq!(rest.unwrap(), "{\"a\":1}");
    }

    #[test]
    fn a_blank_line_with_carriage_returns_ends_an_event() {
        let pieces: [&[u8]; 3] = [b"data: 1\r\n", b"\r\ndata: 2\r\n\r", b"\n"];

        let (whole, rest) = assemble(Framing::Sse, &pieces);

        assert_eq!(whole, ["data: 1\r\n\r\n", "data: 2\r\n\r\n"]);
        assert_eq!(rest, None);
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let mut assembler = ChunkAssembler::new(Framing::Ndjson);
        let piece = Bytes::from(vec![b'x'; MAX_LINE]);

        assert_eq!(assembler.push(piece), Ok(None));
        assert_eq!(assembler.push(Bytes::from_static(b"x")), Err(LineTooLong));
    }

    proptest! {
        #[test]
        fn any_split_of_lines_yields_the_same_lines(
            lines in prop::collection::vec("[a-z{}\":, ]{0,20}", 0..8),
            cuts in prop::collection::vec(0..30_usize, 1..8),
        ) {
            let chunks: Vec<_> = lines.iter().map(|line| format!("{line}\n").into_bytes()).collect();

            let (whole, rest) = assemble(Framing::Ndjson, &split(&chunks, &cuts));

            prop_assert_eq!(whole, chunks);
            prop_assert_eq!(rest, None);
        }

        #[test]
        fn any_split_of_events_yields_the_same_events(
            events in prop::collection::vec("[a-z:]{1,10}(\n[a-z:]{1,10}){0,2}", 0..8),
            cuts in prop::collection::vec(0..30_usize, 1..8),
        ) {
            let chunks: Vec<_> = events.iter().map(|event| format!("{event}\n\n").into_bytes()).collect();

            let (whole, rest) = assemble(Framing::Sse, &split(&chunks, &cuts));

            prop_assert_eq!(whole, chunks);
            prop_assert_eq!(rest, None);
        }

        #[test]
        fn no_byte_is_lost_or_moved(
            pieces in prop::collection::vec("[ab\r\n]{0,6}", 0..12),
            framing in prop::sample::select(vec![Framing::Ndjson, Framing::Sse, Framing::Opaque]),
        ) {
            let bytes: Vec<_> = pieces.iter().map(String::as_bytes).collect();

            let (mut whole, rest) = assemble(framing, &bytes);
            whole.extend(rest);

            prop_assert_eq!(whole.concat(), bytes.concat());
        }
    }
}
