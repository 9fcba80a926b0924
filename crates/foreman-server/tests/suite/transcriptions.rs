//! Transcriptions: forms that become jobs.

use foreman_stub::Hold;
use rstest::rstest;

use crate::harness::{Front, chat};

const HEAD: &str =
    "POST /v1/audio/transcriptions\nContent-Type: multipart/form-data; boundary=\"b\"";

fn form(model: &str, format: &str) -> String {
    format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
         Content-Type: audio/wav\r\n\r\nRIFF\r\n\
         --b\r\nContent-Disposition: form-data; name=\"response_format\"\r\n\r\n{format}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--b--\r\n"
    )
}

#[rstest]
#[case("json", r#"{"text":"echo: a.wav"}"#)]
#[case("text", "echo: a.wav")]
#[tokio::test]
async fn a_transcription_is_a_job_like_any_other(#[case] format: &str, #[case] expected: &str) {
    let front = Front::start().await;
    let gate = front.stub.hold(Hold::before_first_token());
    let mut running = front.caller().await;
    running.send("POST /api/chat", &chat("running")).await;
    gate.reached().await;
    let mut caller = front.caller().await;
    caller.send(HEAD, &form("llama3.2:1b", format)).await;
    front.until_queued(1).await;

    gate.release();
    let reply = caller.reply().await;

    assert_eq!((reply.status, reply.text().trim_end()), (200, expected));
    assert!(reply.header("x-foreman-job-id").is_some());
    assert_eq!(running.reply().await.status, 200);
    let record = front.stub.record();
    let asked = record.on("/v1/audio/transcriptions").next().unwrap();
    let content_type = asked.header("content-type");
    assert_eq!(content_type, Some("multipart/form-data; boundary=\"b\""));
    assert_eq!(asked.body_text(), form("llama3.2:1b", format));
}

#[tokio::test]
async fn a_form_that_cannot_work_gets_the_targets_own_words_and_no_slot() {
    let front = Front::start().await;

    let unknown = front.ask(HEAD, &form("nope", "json")).await;
    let no_form = front.post("/v1/audio/transcriptions", "x").await;

    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["error"]["message"], "model 'nope' not found");
    assert_eq!(unknown.json()["error"]["type"], "not_found_error");
    assert_eq!(no_form.status, 400);
    assert_eq!(
        no_form.text(),
        r#"{"error":{"message":"failed to parse multipart form: request Content-Type isn't multipart/form-data","type":"invalid_request_error","param":null,"code":null}}"#
    );
    let record = front.stub.record();
    assert_eq!(record.on("/v1/audio/transcriptions").count(), 0);
}
