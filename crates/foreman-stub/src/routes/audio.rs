//! `/v1/audio/transcriptions`: a form with a file; a chat inside.

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};

use super::error::openai_error;
use crate::{
    frame::Transcript,
    generate::run,
    reply::{JSON, NDJSON, Reply},
    request::{Api, Work},
    router::{Call, has_type},
};

/// "Transcribes" a file: says its name.
pub(super) async fn transcribe(call: Box<Call>) -> Reply {
    let bad = |text: &str| {
        Reply::new(
            StatusCode::BAD_REQUEST,
            JSON,
            openai_error(StatusCode::BAD_REQUEST, text),
        )
    };
    if !has_type(&call.head, "multipart/form-data") {
        return bad(
            "failed to parse multipart form: request Content-Type isn't multipart/form-data",
        );
    }
    let content_type = call
        .head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let Some(form) = content_type.and_then(|kind| Form::parse(kind, &call.body)) else {
        return bad("failed to parse multipart form: no multipart boundary param in Content-Type");
    };
    let Some(model) = form.model else {
        return bad("model is required");
    };
    let Some(file) = form.file else {
        return bad("file is required: http: no such file");
    };
    let framer = Box::new(Transcript { plain: form.plain });
    let work = Work {
        text: file,
        prompt_tokens: 1,
        ..Work::new(Api::ChatCompletions, model, framer)
    };
    let mut reply = run(call, Box::new(work)).await;
    if reply.status == StatusCode::OK {
        // The chat inside is a stream, and that is what its header says.
        let lines = HeaderValue::from_static(NDJSON);
        reply.headers.insert(CONTENT_TYPE, lines);
    }
    reply
}

/// The fields of the form that matter.
#[derive(Debug, Default, PartialEq, Eq)]
struct Form {
    model: Option<String>,
    /// The name of the file.
    file: Option<String>,
    plain: bool,
}

impl Form {
    fn parse(content_type: &str, body: &[u8]) -> Option<Self> {
        let boundary = content_type.split("boundary=").nth(1)?.split(';').next()?;
        let boundary = format!("--{}", boundary.trim().trim_matches('"'));
        let body = String::from_utf8_lossy(body);
        let mut form = Self::default();
        for part in body.split(boundary.as_str()) {
            let Some((head, value)) = part.split_once("\r\n\r\n") else {
                continue;
            };
            let value = value.strip_suffix("\r\n").unwrap_or(value);
            match parameter(head, " name=") {
                Some("model") => form.model = Some(value.to_owned()),
                Some("response_format") => form.plain = value == "text",
                Some("file") => form.file = parameter(head, "filename=").map(ToOwned::to_owned),
                Some(_) | None => {}
            }
        }
        Some(form)
    }
}

/// A quoted parameter of a part's head.
fn parameter<'a>(head: &'a str, key: &str) -> Option<&'a str> {
    head.split(key).nth(1)?.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
            Content-Type: audio/wav\r\n\r\nRIFF\r\n--b--\r\n";

        let form = Form::parse("multipart/form-data; boundary=b", body.as_bytes());

        let (model, file) = (Some("m".to_owned()), Some("a.wav".to_owned()));
        assert_eq!(
            form,
            Some(Form {
                model,
                file,
                plain: false
            })
        );
    }
}
