//! Compressed bodies of requests, decoded on a copy that only scheduling reads.

use std::borrow::Cow;
use std::io::Read;

use bytes::Bytes;
use foreman_job::Endpoint;
use foreman_ollama::Shape;
use foreman_scheduler::api_of;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use ruzstd::decoding::StreamingDecoder;

/// The target decodes no more than this.
const LIMIT: u64 = 20 * 1024 * 1024;

/// Returns the body as the target reads it: on `/v1` it decodes zstd, nothing else anywhere.
///
/// A body that cannot be decoded is returned as it came: it is no JSON either.
pub(crate) fn decoded<'a>(
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &'a Bytes,
) -> Cow<'a, [u8]> {
    if !is_encoded(endpoint, headers) {
        return Cow::Borrowed(body);
    }
    match decode(body) {
        Some(decoded) => Cow::Owned(decoded),
        None => Cow::Borrowed(body),
    }
}

/// Tells whether a body is one that the target decodes.
pub(crate) fn is_encoded(endpoint: Endpoint, headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    let is_zstd = encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"zstd"));
    is_zstd && api_of(endpoint).shape() != Shape::Ollama
}

fn decode(body: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let frames = StreamingDecoder::new(body).ok()?;
    frames.take(LIMIT + 1).read_to_end(&mut decoded).ok()?;
    let fits = u64::try_from(decoded.len()).is_ok_and(|length| length <= LIMIT);
    fits.then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"model":"m"}` in a frame with one raw block.
    const FRAME: &[u8] = b"\x28\xb5\x2f\xfd\x20\x0d\x69\x00\x00{\"model\":\"m\"}";

    fn zstd() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        headers
    }

    #[test]
    fn zstd_is_read_where_the_target_reads_it() {
        let body = Bytes::from_static(FRAME);

        let v1 = decoded(Endpoint::V1Responses, &zstd(), &body);
        let native = decoded(Endpoint::Chat, &zstd(), &body);

        assert_eq!(&*v1, b"{\"model\":\"m\"}");
        assert_eq!(&*native, FRAME);
    }

    /// Blocks that each stand for 128 KiB of spaces.
    fn spaces(blocks: usize) -> Bytes {
        let frame = [
            &b"\x28\xb5\x2f\xfd\x00\x58"[..],
            &b"\x02\x00\x10 ".repeat(blocks),
        ];
        let last = b"\x03\x00\x10 ";
        Bytes::from([frame.concat().as_slice(), last].concat())
    }

    #[test]
    fn no_more_is_decoded_than_the_target_decodes() {
        let all = usize::try_from(LIMIT).unwrap();
        let fits = spaces(all / (128 * 1024) - 1);
        let beyond = spaces(all / (128 * 1024));

        let read = decoded(Endpoint::V1Responses, &zstd(), &fits).len();

        assert_eq!(read, all);
        assert_eq!(*decoded(Endpoint::V1Responses, &zstd(), &beyond), *beyond);
    }

    #[test]
    fn what_is_no_zstd_stays_what_it_is() {
        let body = Bytes::from_static(b"plain");

        assert_eq!(&*decoded(Endpoint::V1Messages, &zstd(), &body), b"plain");
    }
}
