//! Reads names of models: one name has one canonical form, and the stub agrees which are none.
#![no_main]

use foreman_ollama::{ModelName, Source};
use foreman_stub::read_chat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let ours = ModelName::parse(text);
    if let Ok(name) = &ours {
        let canonical = name.canonical();
        assert_eq!(ModelName::parse(canonical).as_ref(), Ok(name));
        assert_eq!(canonical, canonical.to_ascii_lowercase());
        assert!(canonical.is_ascii() && canonical.contains(':') && canonical.len() < 600);
        assert!(!canonical.contains(|c: char| c.is_ascii_control() || c.is_ascii_whitespace()));
    }
    let body = serde_json::json!({"model": text}).to_string();
    let stub = read_chat(body.as_bytes());
    assert_eq!(
        ours.is_ok(),
        stub.is_ok(),
        "foreman {ours:?}, the stub {stub:?}"
    );
    if let (Ok(ours), Ok(stub)) = (&ours, &stub) {
        assert_eq!(ours.source() == Source::Cloud, stub.name.is_none());
        assert!(
            stub.name
                .as_deref()
                .is_none_or(|name| name == ours.canonical())
        );
    }
});
