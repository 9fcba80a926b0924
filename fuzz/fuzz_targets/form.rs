//! Reads forms, which come with a boundary of their own.
#![no_main]

use foreman_ollama::{RequestKind, scan_form};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (boundary, body) = input;
    for kind in [
        boundary.to_owned(),
        format!("multipart/form-data; boundary={boundary}"),
    ] {
        match scan_form(Some(&kind), body) {
            Ok(head) => {
                assert!(!head.model.is_empty());
                assert!(body.len() > head.model.len());
                assert_eq!((head.kind, head.stream), (RequestKind::Generate, false));
            }
            Err(rejection) => assert_eq!(rejection.status, 400),
        }
    }
});
