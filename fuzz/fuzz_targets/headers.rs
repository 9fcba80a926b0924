//! Reads headers, queries, cursors and paths.
#![no_main]

use std::time::Duration;

use foreman_server::fuzz;
use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 7] = [
    "idempotency-key",
    "prefer",
    "x-foreman-priority",
    "x-foreman-keep",
    "x-foreman-expires-in",
    "x-foreman-heartbeat",
    "retry-after",
];

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let name = NAMES[usize::from(choice) % NAMES.len()];
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let mut headers = HeaderMap::new();
        headers.append(name, value);
        let _wait = foreman_scheduler::fuzz::retry_after(&headers);
        if let Some(asked) = fuzz::terms(&headers) {
            let key = asked.key.unwrap_or_else(|| "k".to_owned());
            assert!((1..=255).contains(&key.len()) && !key.contains(|c: char| c.is_control()));
            assert!(asked.expires_in.is_none_or(|it| !it.is_zero()));
            assert!(
                asked
                    .heartbeat
                    .is_none_or(|it| it >= Duration::from_secs(1))
            );
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _duration = fuzz::duration(text);
    let _value = fuzz::query(text, "after");
    if let Some(written) = fuzz::cursor(text) {
        assert!(written.eq_ignore_ascii_case(text));
    }
    if text.starts_with('/') && text.parse::<http::Uri>().is_ok() {
        let path = text.split('?').next().unwrap_or_default();
        if let Some(location) = fuzz::redirect(&Method::GET, path) {
            // Who follows arrives, on this server, and no header is added on the way.
            assert!(
                location.starts_with('/') && !location.starts_with("//"),
                "{location}"
            );
            assert!(HeaderValue::from_str(&location).is_ok(), "{location}");
            // A slash at the end may cost a second step.
            let next = fuzz::redirect(&Method::GET, &location);
            let last = next.and_then(|next| fuzz::redirect(&Method::GET, &next));
            assert_eq!(last, None, "{location}");
        }
    }
});
