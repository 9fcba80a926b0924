//! What the stub writes down.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use foreman_stub::{End, Hold, ModelSpec, RecordMode, RecordedBody, Stub, StubOptions};
use pretty_assertions::assert_eq;

use crate::client::{open, post, request, rest, send_with, stub};

const CHAT: &str = r#"{"model":"fakeA","messages":[{"role":"user","content":"hi"}]}"#;
const EMBED: &str = r#"{"model":"fakeE","input":"hi","prompt":"hi"}"#;

#[tokio::test]
async fn requests_are_recorded_with_all_that_came_and_went() {
    let stub = stub().await;

    let answer = send_with(&stub, "POST", "/api/chat?a=b", "X-Tag: one\r\n", CHAT).await;

    let record = stub.record();
    let request = &record.requests[0];
    assert_eq!((request.order, request.connection), (1, 1));
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/api/chat")
    );
    assert_eq!(request.query.as_deref(), Some("a=b"));
    assert_eq!(request.header("x-tag"), Some("one"));
    assert_eq!(request.body_text(), CHAT);
    assert_eq!(request.model.as_deref(), Some("fakeA"));
    assert_eq!(
        (request.status, request.end),
        (Some(200), Some(End::Complete))
    );
    assert_eq!(request.chunks, answer.chunks.len());
    assert_eq!(request.bytes, u64::try_from(answer.body().len()).unwrap());
    let (started, ended) = (request.started.unwrap(), request.ended.unwrap());
    assert!(request.arrived_stamp < started && started < ended);
    assert_eq!(record.loaded_models(), ["fakeA:latest"]);
}

#[tokio::test]
async fn overlap_is_counted_for_chats_and_embeddings_apart() {
    let stub = stub().await;
    let gate = stub.hold(Hold::before_first_token());
    let mut streams = Vec::new();
    for (path, body) in [
        ("/api/chat", CHAT),
        ("/api/chat", CHAT),
        ("/api/embed", EMBED),
        ("/v1/embeddings", EMBED),
        ("/api/embeddings", EMBED),
    ] {
        streams.push(open(&stub, &request("POST", path, "", body)).await);
    }

    let all = |record: &foreman_stub::Record| {
        record.counts.open_generations + record.counts.open_embeds == 5
    };
    stub.wait_for("all five", all).await.unwrap();
    gate.release();
    for stream in &mut streams {
        rest(stream).await;
    }

    let counts = stub.counts();
    assert_eq!(
        (counts.max_open_generations, counts.max_running_generations),
        (2, 1)
    );
    assert_eq!((counts.max_open_embeds, counts.embeds), (3, 3));
    assert_eq!((counts.open_generations, counts.open_embeds), (0, 0));
}

#[tokio::test]
async fn large_bodies_are_kept_as_digests_and_none_without_bodies() {
    let stub = stub().await;
    let large = format!(r#"{{"model":"fakeA","system":"{}"}}"#, "x".repeat(1 << 20));
    post(&stub, "/api/generate", &large).await;
    let RecordedBody::Digest { length, ref sha256 } = stub.record().requests[0].body else {
        panic!("a digest")
    };
    assert_eq!(
        (length, sha256.len()),
        (u64::try_from(large.len()).unwrap(), 64)
    );

    for (mode, requests) in [(RecordMode::WithoutBodies, 1), (RecordMode::Counters, 0)] {
        let builder = Stub::builder()
            .model(ModelSpec::chat("fakeA"))
            .recording(mode);
        let stub = builder.start().await.unwrap();
        post(&stub, "/api/chat", CHAT).await;
        let record = stub.record();
        assert_eq!(record.requests.len(), requests);
        assert!(
            record
                .requests
                .iter()
                .all(|r| r.body == RecordedBody::Length(61))
        );
        assert_eq!((record.counts.requests, record.counts.generations), (1, 1));
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .extend(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_request_is_a_line_at_its_start_and_one_at_its_end() {
    let lines = Lines::default();
    let builder = Stub::builder()
        .model(ModelSpec::chat("fakeA"))
        .record_to(lines.clone());
    let stub = builder.start().await.unwrap();

    post(&stub, "/api/chat", CHAT).await;
    stub.shutdown().await;

    let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = written.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with(
        r#"{"event":"start","order":1,"method":"POST","path":"/api/chat","model":"fakeA","body":"{\"model\""#
    ));
    assert!(lines[1].starts_with(r#"{"event":"end","order":1,"status":200,"chunks":3,"#));
    assert!(lines[1].ends_with(r#""end":"complete"}"#));
}

#[tokio::test]
async fn waiting_in_vain_says_what_was_seen() {
    let stub = stub().await;
    post(&stub, "/api/chat", CHAT).await;

    let error = stub
        .wait_within(Duration::ZERO, "rain", |_| false)
        .await
        .unwrap_err();

    let text = error.to_string();
    assert!(
        text.starts_with("waited 0ns for rain; the stub has seen 1 requests"),
        "{text}"
    );
    assert!(text.contains("#1 POST /api/chat fakeA"), "{text}");
}

#[tokio::test]
async fn a_stub_takes_over_a_listener_and_options() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = StubOptions {
        models: vec![ModelSpec::chat("fakeA")],
        tokens: Some(7),
        max_loaded: Some(1),
        ..StubOptions::default()
    };

    let stub = Stub::builder().options(options).start_on(listener).unwrap();

    assert_eq!(stub.address(), address);
    assert_eq!(post(&stub, "/api/chat", CHAT).await.chunks.len(), 8);
    let bad = Stub::builder().model(ModelSpec::chat("a b")).start().await;
    assert_eq!(bad.unwrap_err().to_string(), "invalid model name \"a b\"");
}

#[tokio::test]
async fn a_stub_without_models_has_the_default_ones() {
    let stub = Stub::start().await.unwrap();
    let named = |model: &str| CHAT.replace("fakeA", model);

    for model in ["llama3.2:1b", "qwen3:0.6b", "gemma3:270m"] {
        assert_eq!(
            post(&stub, "/api/chat", &named(model)).await.status,
            200,
            "{model}"
        );
    }
    assert!(stub.remove_model("gemma3:270m"));
    stub.add_model(ModelSpec::chat("new")).unwrap();

    assert_eq!(
        post(&stub, "/api/chat", &named("gemma3:270m")).await.status,
        404
    );
    assert_eq!(post(&stub, "/api/chat", &named("new")).await.status, 200);
}
