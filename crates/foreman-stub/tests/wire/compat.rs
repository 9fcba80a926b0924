//! The `OpenAI` and Anthropic routes.

use pretty_assertions::assert_eq;

use crate::client::{post, send, stub};

const SSE: &str = "200\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n";
const QUIET: &str =
    "200\nCache-Control: no-cache\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n";

fn body(content: &str, extra: &str) -> String {
    format!(
        r#"{{"model":"fakeA","max_tokens":10,"messages":[{{"role":"user","content":"{content}"}}]{extra}}}"#
    )
}

#[tokio::test]
async fn chat_completions_stream_until_done() {
    let stub = stub().await;
    let head = |chunk: &str| {
        format!(
            r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":T,"model":"fakeA","system_fingerprint":"fp_ollama","choices":{chunk}}}"#
        )
    };

    let extra = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let answer = post(&stub, "/v1/chat/completions", &body("<hi", extra)).await;

    let choices = [
        r#"[{"index":0,"delta":{"role":"assistant","content":"echo: "},"finish_reason":null}]"#,
        r#"[{"index":0,"delta":{"content":"\u003chi"},"finish_reason":null}]"#,
        r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#,
        r#"[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#,
    ]
    .map(head);
    let [first, second, third, usage] = choices;
    let expected =
        format!("{SSE}{first}\n\n\n{second}\n\n\n{third}\n\n{usage}\n\ndata: [DONE]\n\n");
    assert_eq!(answer.shown(), expected);
    assert_eq!(answer.chunks.len(), 3, "the end comes as one chunk");
}

#[tokio::test]
async fn completions_without_stream_are_one_object() {
    let stub = stub().await;

    let chat = post(&stub, "/v1/chat/completions", &body("hi", "")).await;
    let expected = r#"{"id":"chatcmpl-1","object":"chat.completion","created":T,"model":"fakeA","system_fingerprint":"fp_ollama","choices":[{"index":0,"message":{"role":"assistant","content":"echo: hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    assert_eq!(chat.header("Content-Type"), Some("application/json"));
    assert!(
        chat.shown().ends_with(&format!("\n\n{expected}\n")),
        "{}",
        chat.shown()
    );
    let text = post(
        &stub,
        "/v1/completions",
        r#"{"model":"fakeA","prompt":"hi"}"#,
    )
    .await;
    let expected = r#"{"id":"cmpl-2","object":"text_completion","created":T,"model":"fakeA","system_fingerprint":"fp_ollama","choices":[{"text":"echo: hi","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    assert!(
        text.shown().ends_with(&format!("\n\n{expected}\n")),
        "{}",
        text.shown()
    );
    let streamed = r#"{"model":"fakeA","prompt":"hi","stream":true}"#;
    let streamed = post(&stub, "/v1/completions", streamed).await.shown();
    let piece = |text: &str, finish: &str| {
        format!(
            r#"data: {{"id":"cmpl-3","object":"text_completion","created":T,"choices":[{{"text":"{text}","index":0,"finish_reason":{finish}}}],"model":"fakeA","system_fingerprint":"fp_ollama"}}"#
        )
    };
    let pieces = [
        piece("echo: ", "null"),
        piece("hi", "null"),
        piece("", "\"stop\""),
    ];
    let expected = format!("{SSE}{}\n\ndata: [DONE]\n\n", pieces.join("\n\n\n"));
    assert_eq!(streamed, expected);
}

#[tokio::test]
async fn chat_completions_swallow_what_breaks_in_the_middle() {
    let stub = stub().await;

    let stream = r#","stream":true"#;
    let broken = post(
        &stub,
        "/v1/chat/completions",
        &body("stub:error-mid a b c", stream),
    )
    .await;
    assert_eq!((broken.chunks.len(), broken.complete), (3, true));
    assert!(broken.chunks[2].contains(r#""model":"","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]"#));
    let refused = post(
        &stub,
        "/v1/chat/completions",
        &body("stub:error400", stream),
    )
    .await;
    let text = r#"{"error":{"message":"{\"error\": {\"code\": 400, \"message\": \"bad thing\", \"type\": \"invalid_request_error\"}}","type":"invalid_request_error","param":null,"code":null}}"#;
    let head = "400\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n";
    assert_eq!(refused.shown(), format!("{head}{text}\n"));
}

#[tokio::test]
async fn chat_completions_think_and_call_tools() {
    let stub = stub().await;
    let tools = r#""tools":[{"type":"function","function":{"name":"get_weather","parameters":{"properties":{"city":{"type":"string"}}}}}]"#;
    let sent = |extra: &str| {
        let messages = r#""messages":[{"role":"user","content":"stub:toolcall hi"}]"#;
        format!(r#"{{"model":"fakeT",{messages},{tools}{extra}}}"#)
    };

    let streamed = post(&stub, "/v1/chat/completions", &sent(r#","stream":true"#)).await;
    assert!(
        streamed.chunks[0]
            .contains(r#""delta":{"role":"assistant","content":"","reasoning":"Hmm "}"#)
    );
    let last = streamed.chunks.last().unwrap();
    assert!(last.contains(r#""delta":{"content":"","tool_calls":[{"id":"call_stub0001","index":0,"type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"stub\"}"}}]},"finish_reason":null"#));
    assert!(last.contains(r#""delta":{},"finish_reason":"tool_calls""#));
    let whole = post(&stub, "/v1/chat/completions", &sent("")).await.body();
    assert!(whole.contains(r#""content":"echo: hi","reasoning":"Hmm ok.","tool_calls":["#));
    assert!(
        whole.contains(r#"]},"finish_reason":"tool_calls"}]"#),
        "{whole}"
    );
}

#[tokio::test]
async fn messages_stream_named_events() {
    let stub = stub().await;

    let answer = post(&stub, "/v1/messages", &body("hi", r#","stream":true"#)).await;

    let events = [
        (
            "message_start",
            r#","message":{"id":"msg_000000000000000000000001","type":"message","role":"assistant","model":"fakeA","content":[],"usage":{"input_tokens":1,"output_tokens":0}}"#,
        ),
        (
            "content_block_start",
            r#","index":0,"content_block":{"type":"text","text":""}"#,
        ),
        (
            "content_block_delta",
            r#","index":0,"delta":{"type":"text_delta","text":"echo: "}"#,
        ),
        (
            "content_block_delta",
            r#","index":0,"delta":{"type":"text_delta","text":"hi"}"#,
        ),
        ("content_block_stop", r#","index":0"#),
        (
            "message_delta",
            r#","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":1,"output_tokens":2}"#,
        ),
        ("message_stop", ""),
    ];
    let chunks = events
        .map(|(name, rest)| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n"));
    assert_eq!(answer.shown(), format!("{QUIET}{}", chunks.join("\n")));
}

#[tokio::test]
async fn messages_think_call_tools_and_break() {
    let stub = stub().await;
    let tools = r#""tools":[{"name":"get_weather","input_schema":{"properties":{"city":{"type":"string"}}}}]"#;
    let sent = |extra: &str| {
        let messages =
            r#""messages":[{"role":"user","content":[{"type":"text","text":"stub:toolcall hi"}]}]"#;
        format!(r#"{{"model":"fakeT","max_tokens":9,{messages},{tools}{extra}}}"#)
    };

    let streamed = post(&stub, "/v1/messages", &sent(r#","stream":true"#)).await;
    let names: Vec<_> = streamed
        .chunks
        .iter()
        .map(|c| c.lines().next().unwrap())
        .collect();
    let expected = "message_start content_block_start content_block_delta content_block_delta \
        content_block_stop content_block_start content_block_delta content_block_delta \
        content_block_stop content_block_start content_block_delta content_block_stop \
        message_delta message_stop";
    let expected: Vec<_> = expected
        .split_whitespace()
        .map(|name| format!("event: {name}"))
        .collect();
    assert_eq!(names, expected);
    assert!(streamed.chunks[10].contains(
        r#""index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"stub\"}"}"#
    ));
    let whole = post(&stub, "/v1/messages", &sent("")).await.body();
    assert!(whole.contains(r#""content":[{"type":"thinking","thinking":"Hmm ok."},{"type":"text","text":"echo: hi"},{"type":"tool_use","id":"call_stub0001","name":"get_weather","input":{"city":"stub"}}],"stop_reason":"tool_use""#), "{whole}");

    let stream = r#","stream":true"#;
    let broken = post(&stub, "/v1/messages", &body("stub:error-mid a b c", stream)).await;
    assert_eq!((broken.chunks.len(), broken.complete), (4, true));
    let refused = post(&stub, "/v1/messages", &body("stub:error400", stream)).await;
    assert_eq!(
        (refused.status, refused.header("Cache-Control")),
        (400, Some("no-cache"))
    );
}

#[tokio::test]
async fn responses_stream_numbered_events() {
    let stub = stub().await;

    let sent = r#"{"model":"fakeT","stream":true,"input":"hi"}"#;
    let answer = post(&stub, "/v1/responses", sent).await;

    assert!(answer.shown().starts_with(QUIET));
    let names: Vec<_> = answer
        .chunks
        .iter()
        .map(|c| c.lines().next().unwrap())
        .collect();
    let expected = "created in_progress output_item.added reasoning_summary_text.delta \
        reasoning_summary_text.delta reasoning_summary_text.done output_item.done \
        output_item.added content_part.added output_text.delta output_text.delta \
        output_text.done content_part.done output_item.done completed";
    let expected: Vec<_> = expected
        .split_whitespace()
        .map(|name| format!("event: response.{name}"))
        .collect();
    assert_eq!(names, expected);
    let data = |at: usize| answer.chunks[at].lines().nth(1).unwrap();
    assert_eq!(
        data(9),
        r#"data: {"content_index":0,"delta":"echo: ","item_id":"msg_1","logprobs":[],"output_index":1,"sequence_number":9,"type":"response.output_text.delta"}"#
    );
    assert_eq!(
        data(6),
        r#"data: {"item":{"encrypted_content":"Hmm ok.","id":"rs_1","summary":[{"text":"Hmm ok.","type":"summary_text"}],"type":"reasoning"},"output_index":0,"sequence_number":6,"type":"response.output_item.done"}"#
    );
    assert!(data(14).contains(r#""usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":3}},"sequence_number":14,"type":"response.completed"}"#));

    let whole = post(&stub, "/v1/responses", r#"{"model":"fakeA","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#).await;
    let body = whole.body();
    assert!(body.contains(r#""output":[{"id":"msg_2","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"echo: hi","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"#), "{body}");
}

#[tokio::test]
async fn models_and_embeddings_speak_openai() {
    let stub = stub().await;

    let list = send(&stub, "GET", "/v1/models", "").await;
    assert!(list.shown().contains(r#"{"object":"list","data":[{"id":"fakeA:latest","object":"model","created":T,"owned_by":"library"}"#));
    let one = send(&stub, "GET", "/v1/models/fakeA", "").await;
    assert!(one.shown().ends_with(
        "\n\n{\"id\":\"fakeA\",\"object\":\"model\",\"created\":T,\"owned_by\":\"library\"}\n"
    ));
    let missing = send(&stub, "GET", "/v1/models/nope", "").await;
    assert_eq!(missing.status, 404);
    assert!(missing.body().contains("model 'nope:latest' not found"));

    let sent = r#"{"model":"fakeE","input":"a","encoding_format":"base64"}"#;
    let coded = post(&stub, "/v1/embeddings", sent).await.body();
    assert!(coded.starts_with(r#"{"object":"list","data":[{"object":"embedding","embedding":""#));
    assert!(coded.ends_with("==\",\"index\":0}],\"model\":\"fakeE\",\"usage\":{\"prompt_tokens\":1,\"total_tokens\":1}}\n") || coded.contains("\",\"index\":0}]"), "{coded}");
}

#[tokio::test]
async fn transcriptions_take_a_form() {
    let stub = stub().await;
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nfakeA\r\n--b\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b--\r\n";
    let kind = "Content-Type: multipart/form-data; boundary=b\r\n";
    let path = "/v1/audio/transcriptions";

    let answer = crate::client::send_with(&stub, "POST", path, kind, form).await;
    assert_eq!(answer.body(), "{\"text\":\"echo: a.wav\"}\n");
    let plain = post(&stub, path, "x").await;
    assert_eq!(
        plain.body(),
        r#"{"error":{"message":"failed to parse multipart form: request Content-Type isn't multipart/form-data","type":"invalid_request_error","param":null,"code":null}}"#
    );
}
