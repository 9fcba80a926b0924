//! Reads submissions of jobs, one or many.
#![no_main]

use bytes::Bytes;
use foreman_server::fuzz;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

const MOST: usize = 8;

fuzz_target!(|body: &[u8]| {
    let body = Bytes::copy_from_slice(body);
    if let Some((request, metadata)) = fuzz::submission(&body) {
        assert!(request.starts_with(b"{") && request.len() < body.len());
        assert!(serde_json::from_slice::<&RawValue>(&request).is_ok());
        if let Some(metadata) = metadata {
            assert!(!metadata.contains(['\n', '\r']) && metadata.len() <= 16 * 1024);
            assert!(serde_json::from_str::<&RawValue>(&metadata).is_ok());
        }
    }
    let array = fuzz::array(&body, MOST);
    let whole = serde_json::from_slice::<Vec<&RawValue>>(&body).ok();
    let expected = whole.filter(|items| items.len() <= MOST);
    assert_eq!(
        array.as_ref().map(Vec::len),
        expected.as_ref().map(Vec::len)
    );
    for (found, expected) in array.iter().flatten().zip(expected.iter().flatten()) {
        assert_eq!(found, expected.get().as_bytes());
    }
    if let Some(lines) = fuzz::lines(&body, MOST) {
        assert!(lines.len() <= MOST && lines.iter().all(|line| !line.is_empty()));
    }
});
