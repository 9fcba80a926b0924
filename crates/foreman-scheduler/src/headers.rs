//! Headers between their form in messages and their form at rest.
//!
//! A header's value is bytes. At rest each byte is one character (ISO 8859-1), so that every value
//! comes back as it was.

use bytes::Bytes;
use foreman_store::Headers;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Room for headers that are added on the way, so that the map need not grow then.
const MORE: usize = 4;

/// Takes headers out of a message: all of a map, or some.
pub fn to_stored<'h>(
    headers: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>,
) -> Headers {
    headers
        .into_iter()
        .map(|(name, value)| {
            let text = value.as_bytes().iter().copied().map(char::from).collect();
            (name.as_str().to_owned(), text)
        })
        .collect()
}

/// Puts stored headers into a message; one that is no header any more is left out.
pub fn from_stored(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len() + MORE);
    for (name, text) in headers.iter() {
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name.as_bytes()), value(text)) {
            map.append(name, value);
        }
    }
    map
}

fn value(text: &str) -> Option<HeaderValue> {
    if text.is_ascii() {
        return HeaderValue::from_str(text).ok();
    }
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    HeaderValue::from_maybe_shared(Bytes::from(bytes?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_was() {
        let mut map = HeaderMap::new();
        map.append(
            "user-agent",
            HeaderValue::from_static("ollama-python/0.6.3"),
        );
        map.append("x-odd", HeaderValue::from_bytes(b"caf\xe9 \xff").unwrap());
        map.append("x-odd", HeaderValue::from_static("twice"));

        assert_eq!(from_stored(&to_stored(&map)), map);
    }
}
