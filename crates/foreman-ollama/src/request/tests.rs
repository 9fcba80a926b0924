//! Request bodies and what is read of them.

use std::time::Duration;

use bytes::Bytes;
use rstest::rstest;

use super::*;

fn head(api: Api, body: &str) -> RequestHead {
    scan(api, body.as_bytes()).unwrap()
}

fn refused(api: Api, body: &str) -> (u16, String) {
    let rejection = scan(api, body.as_bytes()).unwrap_err();
    (rejection.status, rejection.message)
}

/// A chat of the model `a` with these members besides.
fn chat(members: &str) -> String {
    format!(r#"{{"model":"a","messages":[{{"role":"user","content":"x"}}],{members}}}"#)
}

#[test]
fn keys_count_in_any_case_and_the_last_one_wins() {
    let body = "  \n {\"MODEL\":\"x\",\"Stream\":true,\"model\":\"A\",\"stream\":false,\"me\\u0073\u{17f}ages\":[1,2]} garbage";

    let head = head(Api::Generate, body);

    assert_eq!((head.model.as_str(), head.stream), ("A", false));
    assert_eq!(head.name.canonical(), "a:latest");
    assert_eq!(body.as_bytes()[head.object_end], b'}');
}

#[rstest]
#[case(Api::Chat, r#"{"model":"a","messages":[{}]}"#, true)]
#[case(Api::Chat, r#"{"model":"a","messages":[{}],"stream":null}"#, true)]
#[case(
    Api::Chat,
    r#"{"model":"a","messages":[{}],"stream":false,"stream":null}"#,
    true
)]
#[case(Api::Generate, r#"{"model":"a","stream":false}"#, false)]
#[case(Api::Embed, r#"{"model":"a","stream":true}"#, false)]
#[case(Api::V1ChatCompletions, r#"{"model":"a","messages":[{}]}"#, false)]
#[case(
    Api::V1ChatCompletions,
    r#"{"model":"a","messages":[{}],"stream":true}"#,
    true
)]
#[case(Api::V1Responses, r#"{"model":"a","stream":null}"#, false)]
#[case(
    Api::V1Messages,
    r#"{"model":"a","max_tokens":1,"messages":[{}]}"#,
    false
)]
fn what_streams_depends_on_the_route(#[case] api: Api, #[case] body: &str, #[case] stream: bool) {
    assert_eq!(head(api, body).stream, stream);
}

#[rstest]
#[case(Api::Chat, r#"{"model":"a"}"#, RequestKind::LoadOnly)]
#[case(Api::Chat, r#"{"model":"a","messages":[]}"#, RequestKind::LoadOnly)]
#[case(
    Api::Chat,
    r#"{"model":"a","messages":null,"keep_alive":"0s"}"#,
    RequestKind::Unload
)]
#[case(
    Api::Chat,
    r#"{"model":"a","messages":[{}],"keep_alive":0}"#,
    RequestKind::Generate
)]
#[case(Api::Generate, r#"{"model":"a","prompt":""}"#, RequestKind::LoadOnly)]
#[case(Api::Generate, r#"{"model":"a","keep_alive":0}"#, RequestKind::Unload)]
#[case(
    Api::Generate,
    r#"{"model":"a","keep_alive":0,"options":{"num_ctx":"x"}}"#,
    RequestKind::Unload
)]
#[case(Api::Generate, r#"{"model":"a","prompt":"x"}"#, RequestKind::Generate)]
#[case(Api::Embed, r#"{"model":"a"}"#, RequestKind::LoadOnly)]
#[case(
    Api::Embed,
    r#"{"model":"a","input":[],"keep_alive":0}"#,
    RequestKind::LoadOnly
)]
#[case(Api::Embed, r#"{"model":"a","input":["x"]}"#, RequestKind::Generate)]
#[case(
    Api::Embeddings,
    r#"{"model":"a","prompt":"x"}"#,
    RequestKind::Generate
)]
#[case(
    Api::V1Completions,
    r#"{"model":"a","prompt":""}"#,
    RequestKind::LoadOnly
)]
#[case(Api::V1Responses, r#"{"model":"a"}"#, RequestKind::Generate)]
fn an_empty_request_loads_or_unloads(
    #[case] api: Api,
    #[case] body: &str,
    #[case] kind: RequestKind,
) {
    assert_eq!(head(api, body).kind, kind);
}

#[rstest]
#[case("", "")]
#[case(r#""options":{}"#, "")]
#[case(r#""options":null"#, "")]
#[case(r#""options":{"num_ctx":null,"temperature":1}"#, "")]
#[case(r#""options":{"num_gpu":0,"num_ctx":8192}"#, "num_ctx=8192,num_gpu=0")]
#[case(
    r#""options":{"num_ctx":2.7,"use_mmap":false}"#,
    "num_ctx=2,use_mmap=false"
)]
#[case(
    r#""options":{"num_ctx":1},"options":{"num_thread":2}"#,
    "num_ctx=1,num_thread=2"
)]
#[case(r#""options":{"num_ctx":1},"options":null"#, "")]
#[case(r#""options":{"NUM_CTX":1}"#, "")]
#[case(
    r#""OPTIONS":{"num_ctx":1,"num_ctx":2},"shift":true"#,
    "num_ctx=2,shift=true"
)]
#[case(
    r#""options":{"draft_num_predict":1,"main_gpu":2,"num_batch":-3}"#,
    "num_batch=-3,main_gpu=2,draft_num_predict=1"
)]
fn only_what_is_given_is_a_load_option(#[case] members: &str, #[case] text: &str) {
    let members = if members.is_empty() {
        r#""tools":[]"#
    } else {
        members
    };

    let options = head(Api::Chat, &chat(members)).load_options;

    assert_eq!(options.to_string(), text);
    assert_eq!(options.is_empty(), text.is_empty());
}

#[rstest]
#[case("", 400, "missing request body")]
#[case("  \n", 400, "missing request body")]
#[case(
    "{bad",
    400,
    "invalid character 'b' looking for beginning of object key string"
)]
#[case("{", 400, "unexpected EOF")]
#[case(r#"{"model""#, 400, "unexpected EOF")]
#[case(r#"{"model" 1"#, 400, "invalid character '1' after object key")]
#[case(
    r#"{"model":1 2"#,
    400,
    "invalid character '2' after object key:value pair"
)]
#[case(r#"{"a":[1 2]}"#, 400, "invalid character '2' after array element")]
#[case(
    r#"{"a":[1,]}"#,
    400,
    "invalid character ']' looking for beginning of value"
)]
#[case(
    r#"{"a":1,}"#,
    400,
    "invalid character '}' looking for beginning of object key string"
)]
#[case(
    r#"{"a":01}"#,
    400,
    "invalid character '1' after object key:value pair"
)]
#[case(r#"{"a":-x}"#, 400, "invalid character 'x' in numeric literal")]
#[case(
    r#"{"a":1.x}"#,
    400,
    "invalid character 'x' after decimal point in numeric literal"
)]
#[case(
    r#"{"a":1e+}"#,
    400,
    "invalid character '}' in exponent of numeric literal"
)]
#[case(
    r#"{"a":trux}"#,
    400,
    "invalid character 'x' in literal true (expecting 'e')"
)]
#[case(
    r#"{"a":nul}"#,
    400,
    "invalid character '}' in literal null (expecting 'l')"
)]
#[case("{\"a\":\"\n\"}", 400, r"invalid character '\n' in string literal")]
#[case(r#"{"a":"\x"}"#, 400, "invalid character 'x' in string escape code")]
#[case(
    r#"{"a":"\u12g4"}"#,
    400,
    r"invalid character 'g' in \u hexadecimal character escape"
)]
#[case(
    "\u{1f}",
    400,
    r"invalid character '\x1f' looking for beginning of value"
)]
#[case("{}", 400, "model is required")]
#[case("null", 400, "model is required")]
#[case(
    "[]",
    400,
    "json: cannot unmarshal array into Go value of type api.ChatRequest"
)]
#[case(
    r#""x""#,
    400,
    "json: cannot unmarshal string into Go value of type api.ChatRequest"
)]
#[case(r#"{"model":"a b c"}"#, 400, "invalid model name")]
#[case(
    r#"{"model":"fakeA:local:cloud"}"#,
    400,
    r#"use either :local or :cloud, not both: "fakeA:local:cloud""#
)]
#[case(
    r#"{"model":7}"#,
    400,
    "json: cannot unmarshal number into Go struct field ChatRequest.model of type string"
)]
fn a_bad_chat_is_refused_in_ollamas_words(
    #[case] body: &str,
    #[case] status: u16,
    #[case] message: &str,
) {
    assert_eq!(refused(Api::Chat, body), (status, message.to_owned()));
}

#[rstest]
#[case(r#""keep_alive":"5""#, 400, r#"time: missing unit in duration "5""#)]
#[case(r#""keep_alive":true"#, 400, "Unsupported type: 'bool'")]
#[case(r#""top_logprobs":21"#, 400, "top_logprobs must be between 0 and 20")]
#[case(r#""top_logprobs":-1"#, 400, "top_logprobs must be between 0 and 20")]
#[case(
    r#""top_logprobs":1.5"#,
    400,
    "json: cannot unmarshal number 1.5 into Go struct field ChatRequest.top_logprobs of type int"
)]
#[case(
    r#""think":"xx""#,
    400,
    r#"invalid think value: "xx" (must be "high", "medium", "low", "max", true, or false)"#
)]
#[case(
    r#""think":1"#,
    400,
    r#"think must be a boolean or string ("high", "medium", "low", "max", true, or false)"#
)]
#[case(
    r#""format":"xml""#,
    500,
    r#"invalid format: "\"xml\""; expected "json" or a valid JSON Schema object"#
)]
#[case(
    r#""format":[1]"#,
    500,
    r#"invalid format: "[1]"; expected "json" or a valid JSON Schema object"#
)]
#[case(
    r#""options":{"num_ctx":"x"}"#,
    500,
    r#"option "num_ctx" must be of type integer"#
)]
#[case(
    r#""options":{"temperature":"x"}"#,
    500,
    r#"option "temperature" must be of type float32"#
)]
#[case(
    r#""options":{"stop":"x"}"#,
    500,
    r#"option "stop" must be of type array"#
)]
#[case(
    r#""options":{"stop":[1]}"#,
    500,
    r#"option "stop" must be of an array of strings"#
)]
#[case(
    r#""options":{"use_mmap":1}"#,
    500,
    r#"option "use_mmap" must be of type boolean"#
)]
#[case(
    r#""options":[]"#,
    400,
    "json: cannot unmarshal array into Go struct field ChatRequest.options of type map[string]interface {}"
)]
#[case(
    r#""STREAM":"x""#,
    400,
    "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool"
)]
#[case(
    r#""messages":"x""#,
    400,
    "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"
)]
#[case(
    r#""messages":[{"role":"user","content":[{"type":"text"}]}]"#,
    400,
    "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"
)]
// Of several faults: one that stops the decoder, then the first that it keeps.
#[case(
    r#""stream":1,"model":2,"keep_alive":[]"#,
    400,
    "Unsupported type: '[]interface {}'"
)]
#[case(
    r#""stream":1,"model":2"#,
    400,
    "json: cannot unmarshal number into Go struct field ChatRequest.stream of type bool"
)]
fn a_bad_member_is_refused_in_ollamas_words(
    #[case] member: &str,
    #[case] status: u16,
    #[case] message: &str,
) {
    assert_eq!(
        refused(Api::Chat, &chat(member)),
        (status, message.to_owned())
    );
}

#[rstest]
#[case(r#""format":"json""#)]
#[case(r#""format":"""#)]
#[case(r#""format":null"#)]
#[case(r#""format":{"type":"object"}"#)]
#[case(r#""think":"max""#)]
#[case(r#""think":null"#)]
#[case(r#""options":{"bogus":[{}]}"#)]
#[case(r#""model":null"#)]
#[case(r#""messages":[null,{"content":null,"images":["eA=="],"tool_calls":[]}]"#)]
#[case(r#""anything":{"else":[1,2.5e-3,"ü",true]}"#)]
fn a_good_member_is_not_refused(#[case] member: &str) {
    assert_eq!(head(Api::Chat, &chat(member)).model, "a");
}

#[rstest]
#[case(Api::Chat, 400, "model is required")]
#[case(Api::Generate, 404, "model '' not found")]
#[case(Api::Embed, 404, "model '' not found")]
#[case(Api::Embeddings, 400, "model is required")]
#[case(Api::V1ChatCompletions, 400, "[] is too short - 'messages'")]
#[case(Api::V1Completions, 404, "model '' not found")]
#[case(Api::V1Embeddings, 400, "invalid input")]
#[case(Api::V1Responses, 400, "model is required")]
#[case(Api::V1Messages, 400, "model is required")]
fn an_empty_request_is_refused_by_route(
    #[case] api: Api,
    #[case] status: u16,
    #[case] message: &str,
) {
    assert_eq!(refused(api, "{}"), (status, message.to_owned()));
}

#[rstest]
#[case(r#"{"model":"a"}"#, "max_tokens is required and must be positive")]
#[case(r#"{"model":"a","max_tokens":1}"#, "messages is required")]
fn a_message_needs_tokens_and_messages(#[case] body: &str, #[case] message: &str) {
    assert_eq!(refused(Api::V1Messages, body), (400, message.to_owned()));
}

#[test]
fn raw_mode_excludes_what_it_would_ignore() {
    let contradicted = r#"{"model":"a","prompt":"x","raw":true,"system":"y"}"#;
    let plain = r#"{"model":"a","prompt":"x","raw":true,"system":"","context":[ ]}"#;

    let message = "raw mode does not support template, system, or context";
    assert_eq!(
        refused(Api::Generate, contradicted),
        (400, message.to_owned())
    );
    assert!(scan(Api::Generate, plain.as_bytes()).is_ok());
}

#[test]
fn a_fault_behind_the_model_names_the_model_to_look_up_first() {
    let behind = scan(Api::Chat, chat(r#""format":1"#).as_bytes()).unwrap_err();
    let before = scan(Api::Chat, chat(r#""keep_alive":"""#).as_bytes()).unwrap_err();

    assert_eq!(behind.after_model.as_deref(), Some("a"));
    assert_eq!(before.after_model, None);
}

#[rstest]
#[case(
    Api::Chat,
    "",
    r#"{"error":"missing request body"}"#,
    "application/json; charset=utf-8"
)]
#[case(
    Api::V1Completions,
    "",
    r#"{"error":{"message":"EOF","type":"invalid_request_error","param":null,"code":null}}"#,
    "application/json; charset=utf-8"
)]
#[case(
    Api::V1Completions,
    "{}",
    "{\"error\":{\"message\":\"model '' not found\",\"type\":\"not_found_error\",\"param\":null,\"code\":null}}\n",
    "application/json"
)]
#[case(
    Api::V1Messages,
    "",
    r#"{"type":"error","error":{"type":"invalid_request_error","message":"EOF"},"request_id":"req_000000000000000000000000"}"#,
    "application/json; charset=utf-8"
)]
fn a_refusal_has_the_shape_of_its_api(
    #[case] api: Api,
    #[case] body: &str,
    #[case] answer: &str,
    #[case] content_type: &str,
) {
    let rejection = scan(api, body.as_bytes()).unwrap_err();

    assert_eq!(rejection.body(), answer);
    assert_eq!(rejection.content_type, content_type);
}

#[test]
fn an_unknown_model_is_told_in_the_words_of_its_route() {
    let body = |api| unknown_model(api, "nope").body();

    assert_eq!(body(Api::Generate), r#"{"error":"model 'nope' not found"}"#);
    assert_eq!(
        body(Api::Embed),
        r#"{"error":"model \"nope\" not found, try pulling it first"}"#
    );
    assert_eq!(
        body(Api::V1Messages),
        "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"model 'nope' not found\"},\"request_id\":\"req_000000000000000000000000\"}\n"
    );
    assert_eq!(unknown_model(Api::V1Embeddings, "nope").status, 404);
}

#[test]
fn nesting_is_as_deep_as_go_allows() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!(r#"{{"model":"a","x":{open}{close}}}"#)
    };

    assert_eq!(head(Api::Chat, &nested(10_000)).model, "a");
    assert_eq!(
        refused(Api::Chat, &nested(10_001)),
        (400, "invalid character '[' exceeded max depth".to_owned())
    );
    assert_eq!(refused(Api::Chat, &"[".repeat(1_000_000)).0, 400);
}

#[test]
fn bytes_that_are_no_utf8_are_tolerated() {
    let body = b"{\"model\":\"a\",\"\xff\":1,\"messages\":[{\"content\":\"\xff\xfe\"}]}";

    assert_eq!(scan(Api::Chat, body).unwrap().model, "a");
}

#[test]
fn a_keep_alive_is_put_in_and_wins_and_changes_nothing_else() {
    let text = chat(r#""KEEP_ALIVE":"5m","x":"<&>"  "#) + " trailing";
    let body = Bytes::from(text.clone());
    let head = head(Api::Chat, &text);
    assert_eq!(
        head.keep_alive,
        Some(KeepAlive::For(Duration::from_mins(5)))
    );

    let spliced = with_keep_alive(&body, &head, &KeepAlive::Forever);

    let spliced_head = scan(Api::Chat, &spliced).unwrap();
    assert_eq!(spliced_head.keep_alive, Some(KeepAlive::Forever));
    let without = String::from_utf8(spliced.to_vec()).unwrap();
    assert_eq!(without.replacen(r#","keep_alive":-1"#, "", 1), text);
}

#[test]
fn every_route_is_found_by_its_path() {
    for api in Api::ALL {
        assert_eq!(Api::from_path(api.path()), Some(api));
    }
    assert_eq!(Api::from_path("/api/show"), None);
}

#[rstest]
#[case(r#""format":"xml""#, "application/json")]
#[case(r#""format":"xml","stream":false"#, "application/json; charset=utf-8")]
#[case(r#""options":{"stop":1}"#, "application/json; charset=utf-8")]
fn what_is_found_in_a_stream_has_another_type(#[case] members: &str, #[case] expected: &str) {
    let rejection = scan(Api::Chat, chat(members).as_bytes()).unwrap_err();

    assert_eq!(rejection.content_type, expected);
}

#[rstest]
#[case(Api::V1Messages, true, true)]
#[case(Api::V1Responses, true, true)]
#[case(Api::V1Messages, false, false)]
#[case(Api::V1ChatCompletions, true, false)]
fn two_apis_forbid_caching_before_they_find_a_fault(
    #[case] api: Api,
    #[case] stream: bool,
    #[case] expected: bool,
) {
    assert_eq!(
        unknown_model(api, "a").of_stream(api, stream).no_cache,
        expected
    );
    let body = format!(r#"{{"model":"a b","stream":{stream},"max_tokens":1,"messages":[{{}}]}}"#);
    assert_eq!(scan(api, body.as_bytes()).unwrap_err().no_cache, expected);
}
