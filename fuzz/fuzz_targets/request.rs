//! Reads chats as foreman does and as the stub does: they must agree on what they are.
#![no_main]

use foreman_ollama::{Api, KeepAlive, ModelName, scan};
use foreman_stub::{KeepReading, read_chat};
use libfuzzer_sys::fuzz_target;

/// The stub reads with a stack, and no deeper than this.
const DEPTH: usize = 200;

/// What both must agree on.
#[derive(Debug, PartialEq)]
struct Reading {
    model: String,
    stream: Option<bool>,
    keep_alive: Option<KeepReading>,
}

fuzz_target!(|body: &[u8]| {
    let opened = body
        .iter()
        .filter(|byte| matches!(byte, b'[' | b'{'))
        .count();
    if opened > DEPTH {
        // Too deep for one of them, perhaps; it must not be for the other.
        let _read = scan(Api::Chat, body);
        return;
    }
    let stub = read_chat(body);
    let ours = match scan(Api::Chat, body) {
        Ok(head) => {
            let same = ModelName::parse(&head.model).expect("a name that was read");
            assert_eq!(same, head.name);
            assert_eq!(body.get(head.object_end), Some(&b'}'));
            let keep_alive = head.keep_alive.map(|keep| match keep {
                KeepAlive::Forever => KeepReading::Forever,
                KeepAlive::For(span) => KeepReading::For(span),
            });
            Ok(Reading {
                model: head.model,
                stream: Some(head.stream),
                keep_alive,
            })
        }
        // Found once the model is: the body itself is a chat.
        Err(rejection) => match rejection.after_model {
            Some(model) => Ok(Reading {
                model,
                stream: None,
                keep_alive: None,
            }),
            None => Err(rejection.message),
        },
    };
    match (ours, stub) {
        (Ok(ours), Ok(stub)) => {
            let name = ModelName::parse(&ours.model).expect("a name that was read");
            if let Some(theirs) = &stub.name {
                assert_eq!(name.canonical(), theirs);
            }
            assert_eq!(ours.model, stub.model);
            if let Some(stream) = ours.stream {
                assert_eq!(stream, stub.stream);
                // The target holds no longer span than Go can.
                let longest = std::time::Duration::from_nanos(i64::MAX.unsigned_abs());
                let theirs = stub.keep_alive.map(|keep| match keep {
                    KeepReading::For(span) => KeepReading::For(span.min(longest)),
                    KeepReading::Forever => KeepReading::Forever,
                });
                assert_eq!(ours.keep_alive, theirs);
            }
        }
        (Err(_), Err(_)) => {}
        // What the target finds in messages, tools and pictures is left to it.
        (Ok(_), Err(words)) if !concerns_us(&words) => {}
        (ours, stub) => panic!("foreman reads {ours:?}, the stub {stub:?}"),
    }
});

/// Tells whether a refusal is about JSON itself, or about a field that scheduling needs.
fn concerns_us(words: &str) -> bool {
    let ours = [
        "EOF",
        "invalid character",
        "into Go value",
        "ChatRequest.model ",
        "ChatRequest.stream ",
        "ChatRequest.keep_alive ",
        "time: ",
        "Unsupported type",
        "model is required",
        "invalid model name",
        "use either",
    ];
    ours.iter().any(|part| words.contains(part))
}
