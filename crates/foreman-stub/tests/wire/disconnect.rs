//! Clients that leave.

use foreman_stub::{End, Hold, Stub};
use pretty_assertions::assert_eq;

use crate::client::{open, post, request, rest, stub, until};

const STREAM: &str = r#"{"model":"fakeA","messages":[{"role":"user","content":"a b c"}]}"#;
const WHOLE: &str =
    r#"{"model":"fakeA","stream":false,"messages":[{"role":"user","content":"a b c"}]}"#;

async fn gone(stub: &Stub, count: usize) {
    let left = |record: &foreman_stub::Record| {
        record
            .requests
            .iter()
            .filter(|r| r.end == Some(End::ClientGone))
            .count()
            == count
    };
    let noticed = stub.wait_for("the stub to notice", left).await;
    assert!(noticed.is_ok(), "{noticed:?}");
}

#[tokio::test]
async fn leaving_in_the_middle_frees_the_slot() {
    let stub = stub().await;
    for (count, sent) in [STREAM, WHOLE].into_iter().enumerate() {
        let gate = stub.hold(Hold::after_chunks(1));
        let stream = open(&stub, &request("POST", "/api/chat", "", sent)).await;
        gate.reached().await;
        assert_eq!(stub.counts().running_generations, 1);

        drop(stream);
        gone(&stub, count + 1).await;
        drop(gate);

        assert_eq!(stub.counts().running_generations, 0);
        assert_eq!(post(&stub, "/api/chat", STREAM).await.chunks.len(), 5);
    }
}

#[tokio::test]
async fn leaving_during_the_load_aborts_it() {
    let stub = stub().await;
    let gate = stub.hold(Hold::load());
    let stream = open(&stub, &request("POST", "/api/chat", "", STREAM)).await;
    gate.reached().await;

    drop(stream);
    stub.wait_for("the abort", |record| record.counts.aborted_loads == 1)
        .await
        .unwrap();
    drop(gate);

    assert_eq!(stub.resident(), [""; 0]);
}

#[tokio::test]
async fn leaving_the_queue_of_a_slot_lets_the_next_one_in() {
    let stub = stub().await;
    let gate = stub.hold(Hold::before_first_token());
    let mut first = open(&stub, &request("POST", "/api/chat", "", STREAM)).await;
    gate.reached().await;
    let second = open(&stub, &request("POST", "/api/chat", "", STREAM)).await;
    stub.wait_for("the second", |record| record.counts.open_generations == 2)
        .await
        .unwrap();

    drop(second);
    gone(&stub, 1).await;
    gate.release();
    rest(&mut first).await;

    let record = stub.record();
    assert_eq!(record.counts.max_open_generations, 2);
    assert_eq!(record.counts.max_running_generations, 1);
    assert_eq!(record.requests[1].started, None);
}

#[tokio::test]
async fn closing_the_sending_half_counts_as_leaving() {
    let stub = stub().await;
    let gate = stub.hold(Hold::after_chunks(1));
    let stream = open(&stub, &request("POST", "/api/chat", "", STREAM)).await;
    gate.reached().await;

    let mut stream = stream;
    until(&mut stream, "echo").await;
    tokio::io::AsyncWriteExt::shutdown(&mut stream)
        .await
        .unwrap();

    gone(&stub, 1).await;
}
