//! Chats, completions and embeddings of the native API.

use pretty_assertions::assert_eq;

use crate::client::{post, said, send, stub};

const DONE: &str = r#""total_duration":N,"load_duration":N,"prompt_eval_count":1,"prompt_eval_duration":12500000,"eval_count":2,"eval_duration":33250000}"#;
const STREAM: &str = "200\nContent-Type: application/x-ndjson\nTransfer-Encoding: chunked\n\n";

/// A chat with one message.
fn chat(model: &str, content: &str, extra: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"{content}"}}]{extra}}}"#)
}

#[tokio::test]
async fn a_chat_streams_one_object_for_each_token() {
    let stub = stub().await;

    let answer = post(&stub, "/api/chat", &chat("fakeA", "<b>&\\u2028", "")).await;

    let expected = format!(
        r#"{STREAM}{{"model":"fakeA","created_at":T,"message":{{"role":"assistant","content":"echo: "}},"done":false}}

{{"model":"fakeA","created_at":T,"message":{{"role":"assistant","content":"\u003cb\u003e\u0026\u2028"}},"done":false}}

{{"model":"fakeA","created_at":T,"message":{{"role":"assistant","content":""}},"done":true,"done_reason":"stop",{DONE}
"#
    );
    assert_eq!(answer.shown(), expected);
    assert_eq!(answer.chunks.len(), 3);
    assert!(answer.complete);
}

#[tokio::test]
async fn a_chat_without_stream_is_one_object() {
    let stub = stub().await;

    let answer = post(
        &stub,
        "/api/chat",
        &chat("FAKEA:LATEST", "hi", r#","stream":false"#),
    )
    .await;

    let body = format!(
        r#"{{"model":"FAKEA:LATEST","created_at":T,"message":{{"role":"assistant","content":"echo: hi"}},"done":true,"done_reason":"stop",{DONE}"#
    );
    let shown = answer.shown();
    assert!(shown.starts_with("200\nContent-Length: "), "{shown}");
    assert!(shown.ends_with(&format!(
        "\nContent-Type: application/json; charset=utf-8\n\n{body}"
    )));
    let long = chat("fakeA", "stub:tokens=500 x", r#","stream":false"#);
    let long = post(&stub, "/api/chat", &long).await;
    assert_eq!(
        long.header("Content-Length"),
        None,
        "more than 2048 bytes go as one chunk"
    );
    assert_eq!(long.chunks.len(), 1);
}

#[tokio::test]
async fn requests_are_read_with_gos_leniency() {
    let stub = stub().await;
    let odd = "  \n {\"MODEL\":\"nope\",\"model\":\"fakeA\",\"Stream\":false,\"unknown\":[{}],\
        \"keep_alive\":null,\"options\":{\"num_ctx\":null,\"bogus\":1},\"format\":\"\",\
        \"messages\":[{\"role\":\"USER\",\"content\":\"one\"},{\"role\":\"assistant\",\"content\":\"two\"}]} trailing";

    let (status, body) = said(&stub, "/api/chat", odd).await;

    assert_eq!(status, 200);
    assert!(body.contains("\"content\":\"echo: one\""), "{body}");
}

#[tokio::test]
async fn a_completion_has_a_context_unless_it_is_raw() {
    let stub = stub().await;
    let whole = |extra: &str| {
        let sent = format!(r#"{{"model":"fakeA","prompt":"hi","stream":false{extra}}}"#);
        let stub = &stub;
        async move { post(stub, "/api/generate", &sent).await.shown() }
    };

    let streamed = post(&stub, "/api/generate", r#"{"model":"fakeA","prompt":"hi"}"#).await;
    let expected = format!(
        r#"{STREAM}{{"model":"fakeA","created_at":T,"response":"echo: ","done":false}}

{{"model":"fakeA","created_at":T,"response":"hi","done":false}}

{{"model":"fakeA","created_at":T,"response":"","done":true,"done_reason":"stop","context":[1,2,3],{DONE}
"#
    );
    assert_eq!(streamed.shown(), expected);
    let text = r#"{"model":"fakeA","created_at":T,"response":"echo: hi","done":true,"done_reason":"stop","#;
    assert!(
        whole("")
            .await
            .ends_with(&format!("{text}\"context\":[1,2,3],{DONE}"))
    );
    assert!(
        whole(r#","raw":true"#)
            .await
            .ends_with(&format!("{text}{DONE}"))
    );
}

#[tokio::test]
async fn requests_without_a_prompt_load_and_unload() {
    let stub = stub().await;
    let shown = |path: &'static str, sent: &'static str| {
        let stub = &stub;
        async move {
            let answer = post(stub, path, sent).await;
            assert_eq!(
                answer.header("Content-Type"),
                Some("application/json; charset=utf-8")
            );
            answer.shown().lines().last().unwrap().to_owned()
        }
    };
    let message = r#"{"model":"fakeA","created_at":T,"message":{"role":"assistant","content":""},"done":true,"done_reason":"#;

    assert_eq!(
        shown("/api/chat", r#"{"model":"fakeA"}"#).await,
        format!("{message}\"load\"}}")
    );
    assert_eq!(stub.resident(), ["fakeA:latest"]);
    let unload = r#"{"model":"fakeA","messages":[],"keep_alive":"0s"}"#;
    assert_eq!(
        shown("/api/chat", unload).await,
        format!("{message}\"unload\"}}")
    );
    assert_eq!(stub.resident(), [""; 0]);
    let response = r#"{"model":"fakeA","created_at":T,"response":"","done":true,"done_reason":"#;
    let generate = shown("/api/generate", r#"{"model":"fakeA"}"#).await;
    assert_eq!(generate, format!("{response}\"load\"}}"));
    let generate = shown("/api/generate", r#"{"model":"fakeA","keep_alive":0}"#).await;
    assert_eq!(generate, format!("{response}\"unload\"}}"));
    assert_eq!(
        said(&stub, "/api/chat", r#"{"model":"nope","keep_alive":0}"#)
            .await
            .0,
        404
    );
    let ended = stub.record().counts;
    assert_eq!((ended.loads, ended.evictions, ended.generations), (2, 2, 0));
}

#[tokio::test]
async fn thinking_models_think_unless_they_are_told_not_to() {
    let stub = stub().await;

    let thought = post(&stub, "/api/chat", &chat("fakeT", "hi", "")).await;
    assert_eq!(thought.chunks.len(), 5);
    assert!(
        thought.chunks[0]
            .contains(r#""message":{"role":"assistant","content":"","thinking":"Hmm "}"#)
    );
    let whole = post(
        &stub,
        "/api/chat",
        &chat("fakeT", "hi", r#","stream":false,"think":"high""#),
    )
    .await;
    assert!(
        whole
            .body()
            .contains(r#"{"role":"assistant","content":"echo: hi","thinking":"Hmm ok."}"#)
    );
    let silent = post(
        &stub,
        "/api/chat",
        &chat("fakeT", "hi", r#","think":false"#),
    )
    .await;
    assert_eq!(silent.chunks.len(), 3);
}

#[tokio::test]
async fn tools_are_called_on_the_last_object() {
    let stub = stub().await;
    let tools = r#","tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]"#;

    let sent = chat(
        "fakeW",
        "stub:toolcall={\\\"city\\\":\\\"Paris\\\"} hi",
        tools,
    );
    let answer = post(&stub, "/api/chat", &sent).await;
    let call = r#""message":{"role":"assistant","content":"","tool_calls":[{"id":"call_stub0001","function":{"index":0,"name":"get_weather","arguments":{"city":"Paris"}}}]},"done":true"#;
    assert!(
        answer.chunks.last().unwrap().contains(call),
        "{}",
        answer.body()
    );
    let fitting = post(
        &stub,
        "/api/chat",
        &chat("fakeW", "stub:toolcall hi", tools),
    )
    .await;
    assert!(fitting.body().contains(r#""arguments":{"city":"stub"}"#));
    let plain = post(&stub, "/api/chat", &chat("fakeW", "hi", tools)).await;
    assert!(!plain.body().contains("tool_calls"));
}

#[tokio::test]
async fn answers_can_be_long_cut_and_weighed() {
    let stub = stub().await;

    let long = post(&stub, "/api/chat", &chat("fakeA", "stub:tokens=200 hi", "")).await;
    assert_eq!(long.chunks.len(), 201);
    let cut = chat("fakeA", "one two three", r#","options":{"num_predict":2}"#);
    let cut = post(&stub, "/api/chat", &cut).await;
    assert_eq!(cut.chunks.len(), 3);
    assert!(cut.body().contains(r#""done_reason":"length""#));
    let weighed = chat(
        "fakeA",
        "stub:tokens=1 hi",
        r#","logprobs":true,"top_logprobs":1"#,
    );
    let weighed = post(&stub, "/api/chat", &weighed).await;
    let one = r#"{"token":"echo: ","logprob":-0.1,"bytes":[101,99,104,111,58,32]"#;
    let expected = format!(r#""done":false,"logprobs":[{one},"top_logprobs":[{one}}}]}}]}}"#);
    assert!(
        weighed.chunks[0].contains(&expected),
        "{}",
        weighed.chunks[0]
    );
    let debug = chat("fakeA", "hello", r#","_debug_render_only":true"#);
    let debug = post(&stub, "/api/chat", &debug).await.body();
    let rendered = r#""done":false,"_debug_info":{"rendered_template":"[{\"content\": \"hello\", \"role\": \"user\"}]"}}"#;
    assert!(debug.ends_with(rendered), "{debug}");
}

#[tokio::test]
async fn runners_fail_before_and_in_the_middle() {
    let stub = stub().await;
    let bad = r#"{"error":"{\"error\": {\"code\": 400, \"message\": \"bad thing\", \"type\": \"invalid_request_error\"}}"}"#;
    let boom = r#"{"error":"{\"error\": {\"code\": 500, \"message\": \"boom\", \"type\": \"server_error\"}}"}"#;
    let dead = r#"{"error":"model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, check ollama server logs for details"}"#;
    for (directive, status, body) in [
        ("error400", 400, bad),
        ("error500", 500, boom),
        ("crash0", 500, dead),
    ] {
        let streamed = post(
            &stub,
            "/api/chat",
            &chat("fakeA", &format!("stub:{directive}"), ""),
        )
        .await;
        let head =
            format!("{status}\nContent-Type: application/json\nTransfer-Encoding: chunked\n");
        assert_eq!(streamed.shown(), format!("{head}\n{body}"));
        let sent = chat("fakeA", &format!("stub:{directive}"), r#","stream":false"#);
        let whole = post(&stub, "/api/chat", &sent).await;
        assert_eq!((whole.status, whole.body().as_str()), (status, body));
        assert_eq!(
            whole.header("Content-Type"),
            Some("application/json; charset=utf-8")
        );
    }

    let broken = r#"{"error":"an error was encountered while running the model: unexpected EOF"}"#;
    let streamed = post(
        &stub,
        "/api/chat",
        &chat("fakeA", "stub:error-mid a b c", ""),
    )
    .await;
    assert_eq!(
        (streamed.status, streamed.chunks.len(), streamed.complete),
        (200, 3, true)
    );
    assert_eq!(streamed.chunks[2], format!("{broken}\n"));
    assert_eq!(
        stub.resident(),
        ["fakeA:latest"],
        "nobody has asked for the runner since it died"
    );
    let whole = chat("fakeA", "stub:error-mid a b c", r#","stream":false"#);
    assert_eq!(
        said(&stub, "/api/chat", &whole).await,
        (500, broken.to_owned())
    );
}

#[tokio::test]
async fn a_stream_may_end_without_its_last_object() {
    let stub = stub().await;

    let streamed = post(&stub, "/api/chat", &chat("fakeA", "stub:nodone hi", "")).await;
    assert_eq!((streamed.chunks.len(), streamed.complete), (2, true));
    let empty = chat(
        "fakeA",
        "stub:nodone stub:tokens=0 hi",
        r#","stream":false"#,
    );
    let nothing = r#"{"model":"","created_at":"0001-01-01T00:00:00Z","message":{"role":"","content":""},"done":false}"#;
    assert_eq!(
        said(&stub, "/api/chat", &empty).await,
        (200, nothing.to_owned())
    );
}

#[tokio::test]
async fn embeddings_come_in_two_forms() {
    let stub = stub().await;

    let sent = r#"{"model":"fakeE","input":["a","b"]}"#;
    let shown = post(&stub, "/api/embed", sent).await.shown();
    let body = shown.lines().last().unwrap();
    assert!(
        body.starts_with(r#"{"model":"fakeE","embeddings":[["#),
        "{body}"
    );
    assert!(
        body.ends_with(r#"]],"total_duration":N,"load_duration":N,"prompt_eval_count":2}"#),
        "{body}"
    );
    for empty in [r#"{"model":"fakeE","input":[]}"#, r#"{"model":"fakeE"}"#] {
        let expected = (200, r#"{"model":"fakeE","embeddings":[]}"#.to_owned());
        assert_eq!(said(&stub, "/api/embed", empty).await, expected);
    }
    let (_, old) = said(
        &stub,
        "/api/embeddings",
        r#"{"model":"fakeE","prompt":"a"}"#,
    )
    .await;
    assert!(
        old.starts_with(r#"{"embedding":["#) && old.ends_with("]}"),
        "{old}"
    );
    let empty = (200, r#"{"embedding":[]}"#.to_owned());
    assert_eq!(
        said(&stub, "/api/embeddings", r#"{"model":"fakeE"}"#).await,
        empty
    );
    assert_eq!(
        send(&stub, "GET", "/api/ps", "")
            .await
            .body()
            .matches("fakeE:latest")
            .count(),
        2
    );
}
