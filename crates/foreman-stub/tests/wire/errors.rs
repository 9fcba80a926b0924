//! Requests that are refused, with the exact texts.

use pretty_assertions::assert_eq;

use crate::client::{post, said, stub};

const ROUTES: [&str; 9] = [
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
];

/// A body that every route takes, for a model.
fn body(model: &str) -> String {
    format!(
        r#"{{"model":"{model}","max_tokens":5,"input":"x","prompt":"x","messages":[{{"role":"user","content":"x"}}]}}"#
    )
}

/// The error object of a route.
fn error(path: &str, status: u16, text: &str) -> String {
    let text = text.replace('"', "\\\"");
    if !path.starts_with("/v1") {
        return format!(r#"{{"error":"{text}"}}"#);
    }
    let kind = if status == 404 {
        "not_found_error"
    } else {
        "invalid_request_error"
    };
    format!(r#"{{"error":{{"message":"{text}","type":"{kind}","param":null,"code":null}}}}"#)
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused_before_anything_else() {
    let stub = stub().await;
    for path in ROUTES {
        let empty = if path.starts_with("/v1") {
            "EOF"
        } else {
            "missing request body"
        };
        let broken = "invalid character 'b' looking for beginning of object key string";
        for (sent, text) in [("", empty), ("{bad", broken)] {
            let answer = post(&stub, path, sent).await;
            assert_eq!(answer.body(), error(path, 400, text), "{path}");
            let found = (answer.status, answer.header("Content-Type"));
            assert_eq!(
                found,
                (400, Some("application/json; charset=utf-8")),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn every_route_has_its_own_words_for_a_missing_model() {
    let stub = stub().await;
    for path in ROUTES {
        let text = match path {
            "/api/show" => "model 'nope:latest' not found",
            "/api/embed" | "/api/embeddings" | "/v1/embeddings" => {
                "model \"nope\" not found, try pulling it first"
            }
            _ => "model 'nope' not found",
        };
        let newline = if path.starts_with("/v1") { "\n" } else { "" };
        let expected = (404, error(path, 404, text) + newline);
        assert_eq!(said(&stub, path, &body("nope")).await, expected, "{path}");

        let invalid = (400, error(path, 400, "invalid model name") + newline);
        assert_eq!(said(&stub, path, &body("a b c")).await, invalid, "{path}");
        let both = "use either :local or :cloud, not both: \"fakeA:local:cloud\"";
        let both = (400, error(path, 400, both) + newline);
        assert_eq!(
            said(&stub, path, &body("fakeA:local:cloud")).await,
            both,
            "{path}"
        );
        let what = if path == "/api/show" {
            "model details are"
        } else {
            "model is"
        };
        let cloud = format!(r#"{{"error":"ollama cloud is disabled: remote {what} unavailable"}}"#);
        assert_eq!(
            said(&stub, path, &body("nope:cloud")).await,
            (403, cloud),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_empty_object_is_refused_in_nine_ways() {
    let stub = stub().await;
    for (path, status, text, newline) in [
        ("/api/chat", 400, "model is required", ""),
        ("/api/generate", 404, "model '' not found", ""),
        ("/api/embed", 404, "model '' not found", ""),
        ("/api/embeddings", 400, "model is required", ""),
        ("/api/show", 400, "model is required", ""),
        (
            "/v1/chat/completions",
            400,
            "[] is too short - 'messages'",
            "",
        ),
        ("/v1/completions", 404, "model '' not found", "\n"),
        ("/v1/embeddings", 400, "invalid input", ""),
        ("/v1/responses", 400, "model is required", "\n"),
    ] {
        let expected = (status, error(path, status, text) + newline);
        assert_eq!(said(&stub, path, "{}").await, expected, "{path}");
    }
}

#[tokio::test]
async fn messages_have_their_own_error_object() {
    let stub = stub().await;
    for (sent, status, kind, text) in [
        (String::new(), 400, "invalid_request_error", "EOF"),
        (
            "{}".to_owned(),
            400,
            "invalid_request_error",
            "model is required",
        ),
        (
            body("nope"),
            404,
            "not_found_error",
            "model 'nope' not found",
        ),
    ] {
        let answer = post(&stub, "/v1/messages", &sent).await;
        let expected = format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"{text}"}},"request_id":"req_"#
        );
        assert_eq!(answer.status, status);
        assert!(answer.body().starts_with(&expected), "{}", answer.body());
    }
}

/// Sends chats that each have one more field, and compares the errors.
async fn check_fields(table: &[(&str, u16, &str)]) {
    let stub = stub().await;
    for (extra, status, text) in table {
        let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
        let sent = format!(r#"{{"model":"fakeA","stream":false,{messages},{extra}}}"#);
        let expected = (*status, format!(r#"{{"error":"{text}"}}"#));
        assert_eq!(said(&stub, "/api/chat", &sent).await, expected, "{extra}");
    }
}

#[tokio::test]
async fn keep_alive_and_logprobs_are_checked_first() {
    check_fields(&[
        (
            r#""keep_alive":"-1""#,
            400,
            r#"time: missing unit in duration \"-1\""#,
        ),
        (
            r#""keep_alive":"5""#,
            400,
            r#"time: missing unit in duration \"5\""#,
        ),
        (r#""keep_alive":"""#, 400, r#"time: invalid duration \"\""#),
        (
            r#""keep_alive":"abc""#,
            400,
            r#"time: invalid duration \"abc\""#,
        ),
        (r#""keep_alive":true"#, 400, "Unsupported type: 'bool'"),
        (
            r#""keep_alive":[]"#,
            400,
            "Unsupported type: '[]interface {}'",
        ),
        (
            r#""keep_alive":{}"#,
            400,
            "Unsupported type: 'map[string]interface {}'",
        ),
        (
            r#""top_logprobs":21"#,
            400,
            "top_logprobs must be between 0 and 20",
        ),
        (
            r#""top_logprobs":-1"#,
            400,
            "top_logprobs must be between 0 and 20",
        ),
        (
            r#""think":true"#,
            400,
            r#"\"fakeA\" does not support thinking"#,
        ),
        (
            r#""think":"low""#,
            400,
            r#"\"fakeA\" does not support thinking"#,
        ),
    ])
    .await;
}

#[tokio::test]
async fn values_of_the_right_type_may_still_be_wrong() {
    let think = r#"(must be \"high\", \"medium\", \"low\", \"max\", true, or false)"#;
    let bad_think = format!("invalid think value: \\\"xx\\\" {think}");
    check_fields(&[        (r#""think":"xx""#, 400, &bad_think),
        (
            r#""think":1"#,
            400,
            r#"think must be a boolean or string (\"high\", \"medium\", \"low\", \"max\", true, or false)"#,
        ),
        (
            r#""format":"xml""#,
            500,
            r#"invalid format: \"\\\"xml\\\"\"; expected \"json\" or a valid JSON Schema object"#,
        ),
        (
            r#""format":[1]"#,
            500,
            r#"invalid format: \"[1]\"; expected \"json\" or a valid JSON Schema object"#,
        ),
        (
            r#""options":{"num_ctx":"x"}"#,
            500,
            r#"option \"num_ctx\" must be of type integer"#,
        ),
        (
            r#""options":{"stop":[1]}"#,
            500,
            r#"option \"stop\" must be of an array of strings"#,
        ),
        (
            r#""messages":[{"role":"user","content":"x","images":["!!!"]}]"#,
            400,
            "illegal base64 data at input byte 0",
        ),
        (
            r#""tools":[{"type":"function","function":{"name":"f"}}]"#,
            400,
            "registry.ollama.ai/library/fakeA:latest does not support tools",
        ),
    ])
    .await;
}

#[tokio::test]
async fn values_of_a_wrong_type_are_named_in_gos_words() {
    let field = "json: cannot unmarshal";
    let into = "into Go struct field ChatRequest";
    check_fields(&[
        (
            r#""options":[]"#,
            400,
            &format!("{field} array {into}.options of type map[string]interface {{}}"),
        ),
        (
            r#""options":{"x":1,"y":4e3096}"#,
            400,
            &format!("{field} number 4e3096 {into}.options of type float64"),
        ),
        (
            r#""options":{"stop":[{"x":-1e309}]}"#,
            400,
            &format!("{field} number -1e309 {into}.options of type float64"),
        ),
        (
            r#""stream":"x""#,
            400,
            &format!("{field} string {into}.stream of type bool"),
        ),
        (
            r#""messages":"x""#,
            400,
            &format!("{field} string {into}.messages of type []api.Message"),
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]"#,
            400,
            &format!("{field} array {into}.messages.content of type string"),
        ),
    ])
    .await;
    let stub = stub().await;
    for (sent, text) in [
        (
            "[]",
            "json: cannot unmarshal array into Go value of type api.ChatRequest",
        ),
        ("null", "model is required"),
        (
            "\"x\"",
            "json: cannot unmarshal string into Go value of type api.ChatRequest",
        ),
    ] {
        let expected = (400, format!(r#"{{"error":"{text}"}}"#));
        assert_eq!(said(&stub, "/api/chat", sent).await, expected);
    }
}

#[tokio::test]
async fn models_are_asked_only_for_what_they_can_do() {
    let stub = stub().await;
    for (path, sent, text) in [
        (
            "/api/chat",
            body("fakeE"),
            r#"\"fakeE\" does not support chat"#,
        ),
        (
            "/api/generate",
            body("fakeE"),
            r#"\"fakeE\" does not support generate"#,
        ),
        (
            "/api/generate",
            r#"{"model":"fakeA","prompt":"x","suffix":"y"}"#.to_owned(),
            "registry.ollama.ai/library/fakeA:latest does not support insert",
        ),
        (
            "/api/generate",
            r#"{"model":"fakeA","prompt":"x","raw":true,"system":"y"}"#.to_owned(),
            "raw mode does not support template, system, or context",
        ),
        (
            "/api/embed",
            r#"{"model":"fakeE","input":[1]}"#.to_owned(),
            "invalid input type",
        ),
    ] {
        let expected = (400, format!(r#"{{"error":"{text}"}}"#));
        assert_eq!(said(&stub, path, &sent).await, expected);
    }
}
