//! What reading costs: a request before it is queued, and each chunk of an answer.

#![expect(clippy::expect_used, reason = "a benchmark ends by a panic")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foreman_ollama::{
    Api, ChunkAssembler, EndingDetector, Framing, KeepAlive, scan, with_keep_alive,
};

const CHUNK: &[u8] = br#"{"model":"llama3.2:1b","created_at":"2026-01-01T00:00:00.000000001Z","message":{"role":"assistant","content":" word"},"done":false}
"#;

/// A chat of a few turns, of about so many bytes.
fn chat(size: usize) -> Bytes {
    let turn = r#"{"role":"user","content":"Why is the sky \"blue\", and since when? äöü"}"#;
    let turns = vec![turn; size / turn.len() + 1].join(",");
    let head = r#"{"model":"llama3.2:1b","options":{"num_ctx":8192,"temperature":0.2}"#;
    Bytes::from(format!("{head},\"messages\":[{turns}],\"stream\":true}}"))
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    for size in [256, 8 * 1024, 512 * 1024] {
        let body = chat(size);
        group.throughput(Throughput::Bytes(
            u64::try_from(body.len()).expect("a size"),
        ));
        group.bench_function(format!("scan {size} bytes"), |bencher| {
            bencher.iter(|| scan(Api::Chat, black_box(&body)).expect("a chat"));
        });
        let head = scan(Api::Chat, &body).expect("a chat");
        group.bench_function(format!("set keep_alive in {size} bytes"), |bencher| {
            bencher.iter(|| with_keep_alive(black_box(&body), &head, &KeepAlive::Forever));
        });
    }
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer");
    group.throughput(Throughput::Elements(1));
    group.bench_function("join lines of a chunk", |bencher| {
        let mut assembler = ChunkAssembler::new(Framing::Ndjson);
        bencher.iter(|| assembler.push(Bytes::from_static(CHUNK)).expect("a line"));
    });
    group.bench_function("look for the end in a chunk", |bencher| {
        let mut marks = EndingDetector::new(Api::Chat, true);
        let chunk = Bytes::from_static(CHUNK);
        bencher.iter(|| marks.feed(black_box(&chunk)));
    });
    group.finish();
}

criterion_group!(bytes, requests, answers);
criterion_main!(bytes);
