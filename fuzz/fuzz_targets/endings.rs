//! Finds the end of an answer, however the network cuts it.
#![no_main]

use bytes::Bytes;
use foreman_ollama::{Api, ChunkAssembler, EndingDetector, Framing, Unfinished, Usage};
use libfuzzer_sys::fuzz_target;

type Judged = (Vec<u8>, Result<Option<Usage>, Unfinished>);

fuzz_target!(|input: (u8, Vec<u8>, Vec<u8>)| {
    let (choice, cuts, answer) = input;
    let (api, framing) = match choice % 6 {
        0 => (Api::Chat, Framing::Ndjson),
        1 => (Api::Generate, Framing::Ndjson),
        2 => (Api::V1ChatCompletions, Framing::Sse),
        3 => (Api::V1Completions, Framing::Sse),
        4 => (Api::V1Responses, Framing::Sse),
        _ => (Api::V1Messages, Framing::Sse),
    };
    let whole = judged(api, framing, vec![answer.clone()]);
    let pieces = judged(api, framing, cut(&answer, &cuts));
    let bytes = judged(
        api,
        framing,
        answer.iter().map(|byte| vec![*byte]).collect(),
    );

    assert_eq!(whole.0, answer);
    assert_eq!(pieces, whole);
    assert_eq!(bytes, whole);
});

fn judged(api: Api, framing: Framing, pieces: Vec<Vec<u8>>) -> Judged {
    let mut assembler = ChunkAssembler::new(framing);
    let mut detector = EndingDetector::new(api, true);
    let mut passed = Vec::new();
    for piece in pieces {
        if let Some(part) = assembler.push(Bytes::from(piece)).expect("short lines") {
            detector.feed(&part);
            passed.extend_from_slice(&part);
        }
    }
    if let Some(rest) = assembler.finish() {
        detector.feed(&rest);
        passed.extend_from_slice(&rest);
    }
    (passed, detector.finish())
}

fn cut(mut answer: &[u8], cuts: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, rest) = answer.split_at(usize::from(*cut).min(answer.len()));
        pieces.push(piece.to_vec());
        answer = rest;
    }
    pieces.push(answer.to_vec());
    pieces
}
