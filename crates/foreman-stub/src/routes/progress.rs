//! `/api/pull`, `/api/push` and `/api/create`: lines of progress.

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;

use super::{error::native_syntax, show::named};
use crate::{
    gojson::{Obj, folded},
    model::{ModelSpec, Name, NameError, Reference, sha256_hex},
    reply::{JSON_BARE, NDJSON, Reply},
    router::Call,
};

/// The last line, or the only answer without streaming.
enum Outcome {
    Success,
    Error(String),
}

fn status(text: &str) -> String {
    Obj::new().str("status", text).end()
}

fn answer(call: &Call, mut lines: Vec<String>, outcome: Outcome) -> Reply {
    let wants = call
        .parsed
        .as_ref()
        .ok()
        .and_then(|body| body.value.field("stream"));
    let streams =
        !wants.is_some_and(|node| matches!(node.value, crate::gojson::Value::Bool(false)));
    let last = match outcome {
        Outcome::Success => status("success"),
        Outcome::Error(text) => {
            let body = Obj::new().str("error", &text).end();
            if !streams {
                return Reply::new(StatusCode::INTERNAL_SERVER_ERROR, JSON_BARE, body);
            }
            body
        }
    };
    if !streams {
        return Reply::new(StatusCode::OK, JSON_BARE, last);
    }
    lines.push(last);
    let chunks = lines.into_iter().map(|line| Bytes::from(line + "\n"));
    Reply::stream(NDJSON, Box::pin(stream::iter(chunks)))
}

/// The name in the body, or the error reply.
fn wanted(call: &Call, go_type: &'static str) -> Result<(String, Reference), Box<Reply>> {
    let body = call
        .parsed
        .as_ref()
        .map_err(|error| Box::new(Reply::bad(&native_syntax(error))))?;
    let text = named(body, go_type).map_err(|text| Box::new(Reply::bad(&text)))?;
    match Reference::parse(&text) {
        Ok(reference) => Ok((text, reference)),
        // Only push tells a missing name from a bad one.
        Err(NameError::Missing) if go_type != "api.PushRequest" => {
            Err(Box::new(Reply::bad("invalid model name")))
        }
        Err(error) => Err(Box::new(Reply::bad(&error.to_string()))),
    }
}

/// Pulls a model: those that the stub has are there at once, the others do not exist.
pub(super) fn pull(call: &Call) -> Reply {
    let (_, reference) = match wanted(call, "api.PullRequest") {
        Ok(wanted) => wanted,
        Err(reply) => return *reply,
    };
    let lines = vec![status("pulling manifest")];
    let Some(model) = call.core.library.find(&reference.name) else {
        let text = "pull model manifest: file does not exist".to_owned();
        return answer(call, lines, Outcome::Error(text));
    };
    let size = model.spec.size;
    let short: String = model.spec.blob.chars().take(12).collect();
    let mut lines = lines;
    for done in [size / 2, size] {
        let line = Obj::new().str("status", &format!("pulling {short}"));
        let line = line.str("digest", &format!("sha256:{}", model.spec.blob));
        lines.push(line.put("total", size).put("completed", done).end());
    }
    lines.push(status("verifying sha256 digest"));
    lines.push(status("writing manifest"));
    answer(call, lines, Outcome::Success)
}

/// Pushes a model: nowhere.
pub(super) fn push(call: &Call) -> Reply {
    let (_, reference) = match wanted(call, "api.PushRequest") {
        Ok(wanted) => wanted,
        Err(reply) => return *reply,
    };
    let mut lines = vec![status("retrieving manifest")];
    if call.core.library.find(&reference.name).is_none() {
        lines.push(status("couldn't retrieve manifest"));
        let path = reference.name.path();
        let text = format!("open /srv/ollama/models/manifests/{path}: no such file or directory");
        return answer(call, lines, Outcome::Error(text));
    }
    lines.push(status("pushing manifest"));
    answer(call, lines, Outcome::Success)
}

/// Makes a model out of another one, or out of uploaded files.
pub(super) fn create(call: &Call) -> Reply {
    let (text, reference) = match wanted(call, "api.CreateRequest") {
        Ok(wanted) => wanted,
        Err(reply) => return *reply,
    };
    let body = match &call.parsed {
        Ok(body) => body,
        Err(error) => return Reply::bad(&native_syntax(error)),
    };
    let field = |name: &str| body.value.field(name).and_then(|node| node.value.text());
    let mut lines = Vec::new();
    let mut spec = if let Some(from) = field("from") {
        let Some(parent) = Name::parse(from).and_then(|name| call.core.library.find(&name)) else {
            let text = "pull model manifest: file does not exist".to_owned();
            return answer(call, vec![status("pulling manifest")], Outcome::Error(text));
        };
        let mut spec = ModelSpec::derived_from(&parent.spec, &reference.name.short());
        spec.from = parent.name.short();
        spec
    } else if let Some(files) = body.value.field("files") {
        let digest = folded(files)
            .into_iter()
            .find_map(|(_, node)| node.value.text());
        let digest = digest.unwrap_or_default().trim_start_matches("sha256:");
        let mut spec = ModelSpec::chat(&reference.name.short());
        spec.blob = sha256_hex(digest.as_bytes());
        lines.extend([status("parsing GGUF"), status("verifying conversion")]);
        spec
    } else {
        return Reply::bad("neither 'from' or 'files' was specified");
    };
    if let Some(system) = field("system") {
        system.clone_into(&mut spec.system);
    }
    spec.digest = sha256_hex(format!("{text} {}", String::from_utf8_lossy(&call.body)).as_bytes());
    lines.push(status(&format!(
        "using existing layer sha256:{}",
        spec.blob
    )));
    if !spec.system.is_empty() {
        let layer = sha256_hex(spec.system.as_bytes());
        lines.push(status(&format!("creating new layer sha256:{layer}")));
    }
    lines.push(status("writing manifest"));
    call.core
        .library
        .add(reference.name, spec, call.core.clock.now());
    answer(call, lines, Outcome::Success)
}
