//! Answers, as the target sends them, and how they end.

use std::time::Duration;

use bytes::Bytes;
use rstest::rstest;

use super::*;
use crate::request::Api;

const DONE: &str = concat!(
    r#"{"model":"a","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","#,
    r#""total_duration":1380329496,"load_duration":770457158,"prompt_eval_count":11,"eval_count":3}"#,
    "\n"
);

fn feed(api: Api, part: &str) -> Option<Ending> {
    EndingDetector::new(api, true).feed(&Bytes::copy_from_slice(part.as_bytes()))
}

fn finish(api: Api, body: &str) -> Result<Option<Usage>, Unfinished> {
    let mut detector = EndingDetector::new(api, false);
    detector.feed(&Bytes::copy_from_slice(body.as_bytes()));
    detector.finish()
}

fn error(message: &str) -> Ending {
    Ending::Error {
        message: message.to_owned(),
    }
}

fn tokens(prompt_tokens: u64, completion_tokens: u64) -> Usage {
    Usage {
        prompt_tokens,
        completion_tokens,
        ..Usage::default()
    }
}

#[rstest]
#[case(DONE, Some(Ending::Complete))]
#[case("{\"done\": true}", Some(Ending::Complete))]
#[case("{\"done\":false}\n{\"done\":true}\n", Some(Ending::Complete))]
#[case("{\"done\":false}{\"done\":true}\n", Some(Ending::Complete))]
#[case("{\"done\":false} {\"error\":\"boom\"}\n", Some(error("boom")))]
#[case("{\"error\":\"boom\"}\n", Some(error("boom")))]
#[case("{\"message\":{\"content\":\"x\"},\"done\":false}\n", None)]
#[case(
    "{\"message\":{\"content\":\"\\\"done\\\":true\"},\"done\":false}\n",
    None
)]
#[case(
    "{\"message\":{\"tool_calls\":[{\"done\":true,\"error\":\"x\"}]},\"done\":false}\n",
    None
)]
#[case("    ", None)]
#[case("not json \"done\":true", None)]
fn a_native_stream_ends_with_done_or_an_error(#[case] part: &str, #[case] ending: Option<Ending>) {
    assert_eq!(feed(Api::Chat, part), ending);
}

#[rstest]
#[case(
    Api::V1ChatCompletions,
    "data: {\"choices\":[]}\n\ndata: [DONE]\n\n",
    Some(Ending::Complete)
)]
#[case(
    Api::V1ChatCompletions,
    "data: {\"choices\":[{\"delta\":{\"content\":\"[DONE]\"}}]}\n\n",
    None
)]
#[case(
    Api::V1ChatCompletions,
    "data: {\"error\":{\"message\":\"boom\"}}\n\n",
    Some(error("boom"))
)]
#[case(
    Api::V1Messages,
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    Some(Ending::Complete)
)]
#[case(
    Api::V1Messages,
    "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"message_stop\"}}\n\n",
    None
)]
#[case(
    Api::V1Messages,
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"boom\"}}\n\n",
    Some(error("boom"))
)]
#[case(
    Api::V1Responses,
    "data: {\"response\":{\"error\":null},\"type\":\"response.completed\"}\n\n",
    Some(Ending::Complete)
)]
#[case(
    Api::V1Responses,
    "data: {\"type\":\"response.incomplete\"}\n\n",
    Some(Ending::Complete)
)]
#[case(
    Api::V1Responses,
    "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"message\":\"boom\"}}}\n\n",
    Some(error("boom"))
)]
#[case(
    Api::V1Responses,
    "data: {\"response\":{\"error\":null},\"type\":\"response.created\"}\n\n",
    None
)]
fn an_event_stream_ends_with_its_last_event(
    #[case] api: Api,
    #[case] part: &str,
    #[case] ending: Option<Ending>,
) {
    assert_eq!(feed(api, part), ending);
}

#[test]
fn the_last_line_tells_the_figures() {
    let mut detector = EndingDetector::new(Api::Chat, true);

    detector.feed(&Bytes::from_static(b"{\"done\":false}\n"));
    detector.feed(&Bytes::from_static(DONE.as_bytes()));

    let expected = Usage {
        load: Duration::from_nanos(770_457_158),
        total: Duration::from_nanos(1_380_329_496),
        ..tokens(11, 3)
    };
    assert_eq!(detector.usage(), Some(expected));
    assert_eq!(detector.finish(), Ok(Some(expected)));
}

#[rstest]
#[case(
    Api::V1ChatCompletions,
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
)]
#[case(
    Api::V1Messages,
    "data: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":11,\"output_tokens\":2}}\n\ndata: {\"type\":\"message_stop\"}\n\n"
)]
#[case(
    Api::V1Responses,
    "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":11,\"output_tokens\":2}}}\n\n"
)]
fn the_last_events_tell_the_figures(#[case] api: Api, #[case] part: &str) {
    let mut detector = EndingDetector::new(api, true);

    detector.feed(&Bytes::copy_from_slice(part.as_bytes()));

    assert_eq!(detector.finish(), Ok(Some(tokens(11, 2))));
}

#[rstest]
#[case(Api::Chat)]
#[case(Api::V1ChatCompletions)]
#[case(Api::V1Messages)]
fn a_stream_without_its_last_part_is_unfinished(#[case] api: Api) {
    let mut detector = EndingDetector::new(api, true);

    detector.feed(&Bytes::from_static(b"{\"done\":false}\n"));

    assert_eq!(detector.finish(), Err(Unfinished::NoEnding));
}

#[test]
fn nothing_counts_after_the_end() {
    let mut detector = EndingDetector::new(Api::Chat, true);

    detector.feed(&Bytes::from_static(DONE.as_bytes()));

    assert_eq!(
        detector.feed(&Bytes::from_static(b"{\"error\":\"late\"}\n")),
        None
    );
    assert!(detector.finish().is_ok());
}

#[rstest]
#[case(
    Api::Chat,
    r#"{"done":true,"prompt_eval_count":11,"eval_count":2}"#,
    Ok(Some(tokens(11, 2)))
)]
#[case(Api::Chat, r#"{"done":true,"done_reason":"load"}"#, Ok(None))]
#[case(
    Api::Chat,
    r#"{"model":"","message":{"role":"","content":""},"done":false}"#,
    Err(Unfinished::NoEnding)
)]
#[case(Api::Generate, r#"{"done":"#, Err(Unfinished::NoEnding))]
#[case(Api::Generate, r#"{"error":"boom"}"#, Err(Unfinished::Error { message: "boom".to_owned() }))]
#[case(
    Api::V1ChatCompletions,
    r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":2}}"#,
    Ok(Some(tokens(11, 2)))
)]
#[case(
    Api::V1ChatCompletions,
    r#"{"choices":[{"finish_reason":null}]}"#,
    Err(Unfinished::NoEnding)
)]
#[case(
    Api::V1Messages,
    r#"{"type":"message","usage":{"input_tokens":11,"output_tokens":2}}"#,
    Ok(Some(tokens(11, 2)))
)]
#[case(
    Api::Embed,
    r#"{"embeddings":[[0.1]],"total_duration":0,"prompt_eval_count":10}"#,
    Ok(Some(tokens(10, 0)))
)]
#[case(Api::Embeddings, r#"{"embedding":[0.1]}"#, Ok(None))]
#[case(
    Api::V1Embeddings,
    r#"{"data":[],"model":"a","usage":{"prompt_tokens":10}}"#,
    Ok(Some(tokens(10, 0)))
)]
fn a_whole_answer_is_judged_at_its_end(
    #[case] api: Api,
    #[case] body: &str,
    #[case] judged: Result<Option<Usage>, Unfinished>,
) {
    assert_eq!(finish(api, body), judged);
}

#[test]
fn a_large_embedding_is_not_kept() {
    let mut detector = EndingDetector::new(Api::Embed, false);

    for _ in 0..1000 {
        detector.feed(&Bytes::from_static(&[b'1'; 1000]));
    }
    detector.feed(&Bytes::from_static(b"]],\"prompt_eval_count\":7}"));

    assert_eq!(detector.finish(), Ok(Some(tokens(7, 0))));
}
