//! `/api/embed`, `/api/embeddings` and `/v1/embeddings`.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::{
    error::{missing_model, native_syntax, openai_error},
    vector,
};
use crate::{
    generate::{load_fault, refusal_status},
    gojson::{Decoder, GoError, GoType, Node, Obj, Value, array, folded, quote_go},
    model::{NameError, Reference, Source},
    reply::{JSON, JSON_BARE, Reply},
    request::{keep_alive, options},
    router::Call,
    scheduler::{Ask, Keep, Lease},
};

/// What all embedding requests come down to.
#[derive(Default)]
struct Work {
    model: String,
    inputs: Vec<String>,
    keep: Option<Keep>,
    options: Option<Node>,
    dimensions: Option<i64>,
    base64: bool,
}

/// A status and Ollama's text for it; true when the `/v1` middleware said it.
struct Refused(StatusCode, String, bool);

/// The vectors of a request, with its times in nanoseconds.
struct Embedded {
    vectors: Vec<Vec<f32>>,
    tokens: usize,
    total: u128,
    load: u128,
}

fn bad(text: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, text.into(), true)
}

/// `/api/embed`.
pub(super) async fn embed(call: Box<Call>) -> Reply {
    let work = decode(&call, "api.EmbedRequest", "input");
    match answer(&call, work, false).await {
        Err(refused) => native_error(&refused),
        Ok((work, embedded)) => {
            let Embedded {
                vectors,
                tokens,
                total,
                load,
            } = embedded;
            let vectors = array(vectors.iter().map(|vector| vector::json(vector)));
            let object = Obj::new()
                .str("model", &work.model)
                .raw("embeddings", &vectors);
            if work.inputs.is_empty() {
                return Reply::json(object.end());
            }
            let object = object
                .put("total_duration", total)
                .put("load_duration", load);
            let tokens = (tokens > 0).then(|| tokens.to_string());
            Reply::json(object.maybe("prompt_eval_count", tokens.as_deref()).end())
        }
    }
}

/// `/api/embeddings`: one prompt, numbers not normalised.
pub(super) async fn embeddings(call: Box<Call>) -> Reply {
    let work = decode(&call, "api.EmbeddingRequest", "prompt");
    match answer(&call, work, true).await {
        Err(refused) => native_error(&refused),
        Ok((_, embedded)) => {
            let vector = embedded
                .vectors
                .first()
                .map_or_else(|| "[]".to_owned(), |v| vector::wide(v));
            Reply::json(Obj::new().raw("embedding", &vector).end())
        }
    }
}

/// `/v1/embeddings`.
pub(super) async fn openai(call: Box<Call>) -> Reply {
    let work = decode(&call, "openai.EmbedRequest", "input").and_then(|work| {
        if work.inputs.is_empty() {
            Err(bad("invalid input"))
        } else {
            Ok(work)
        }
    });
    match answer(&call, work, false).await {
        Err(Refused(status, text, _)) if text.starts_with("ollama cloud is disabled") => {
            Reply::error(status, &text)
        }
        Err(Refused(status, text, early)) => {
            let body = openai_error(status, &text);
            if early {
                return Reply::new(status, JSON, body);
            }
            Reply::new(status, JSON_BARE, body + "\n")
        }
        Ok((work, embedded)) => {
            let one = |(index, vector): (usize, &Vec<f32>)| {
                let shown = if work.base64 {
                    vector::base64(vector)
                } else {
                    vector::json(vector)
                };
                let object = Obj::new()
                    .str("object", "embedding")
                    .raw("embedding", &shown);
                object.put("index", index).end()
            };
            let data = array(embedded.vectors.iter().enumerate().map(one));
            let tokens = embedded.tokens;
            let usage = Obj::new()
                .put("prompt_tokens", tokens)
                .put("total_tokens", tokens)
                .end();
            let object = Obj::new().str("object", "list").raw("data", &data);
            let body = object.str("model", &work.model).raw("usage", &usage).end() + "\n";
            Reply::new(StatusCode::OK, JSON_BARE, Bytes::from(body))
        }
    }
}

fn native_error(refused: &Refused) -> Reply {
    Reply::error(refused.0, &refused.1)
}

fn decode(call: &Call, go_type: &'static str, input: &str) -> Result<Work, Refused> {
    let native = go_type.starts_with("api.");
    let body = call.parsed.as_ref().map_err(|error| {
        bad(if native {
            native_syntax(error)
        } else {
            error.to_string()
        })
    })?;
    let mut decoder = Decoder::new(go_type, body);
    let mut work = Work::default();
    let (mut prompt, mut format) = (String::new(), String::new());
    let mut wrong_input = false;
    for (key, node) in folded(body) {
        match key.as_ref() {
            "model" => decoder.string(node, "model", &mut work.model),
            "prompt" if input == "prompt" => decoder.string(node, "prompt", &mut prompt),
            "input" if input == "input" => match inputs(node) {
                Some(inputs) => work.inputs = inputs,
                None => wrong_input = true,
            },
            "keep_alive" if native => match keep_alive(node) {
                Ok(keep) => work.keep = keep,
                Err(text) => decoder.fail(text),
            },
            "options" if native => {
                decoder.map(node, "options");
                work.options = Some(node.clone());
            }
            "truncate" if native => decoder.check(node, "truncate", GoType::Bool),
            "dimensions" => decoder.integer(node, "dimensions", &mut work.dimensions),
            "encoding_format" => decoder.string(node, "encoding_format", &mut format),
            _ => {}
        }
    }
    decoder.finish(()).map_err(|GoError(text)| bad(text))?;
    if !prompt.is_empty() {
        work.inputs.push(prompt);
    }
    work.base64 = format.eq_ignore_ascii_case("base64");
    if !(format.is_empty() || work.base64 || format.eq_ignore_ascii_case("float")) {
        return Err(bad(format!(
            "Invalid value for 'encoding_format' = {format}. Supported values: ['float', 'base64']."
        )));
    }
    if wrong_input {
        // The middleware takes anything here, the handler does not.
        let text = "invalid input type".to_owned();
        return Err(Refused(StatusCode::BAD_REQUEST, text, false));
    }
    Ok(work)
}

/// A string or a list of strings; `None` for anything else.
fn inputs(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Null => Some(Vec::new()),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items
            .iter()
            .map(|item| item.value.text().map(ToOwned::to_owned))
            .collect(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

async fn answer(
    call: &Call,
    work: Result<Work, Refused>,
    old: bool,
) -> Result<(Work, Embedded), Refused> {
    let work = work?;
    let began = Instant::now();
    let mut lease = lease(call, &work, old).await?;
    let load = began.elapsed().as_nanos().max(1);
    let (mut vectors, mut tokens) = (Vec::with_capacity(work.inputs.len()), 0);
    if !work.inputs.is_empty() {
        lease.take_slot().await;
        let running = call.ticket.take_slot();
        call.core.gates.pass_chunk(0, &call.path, &work.model).await;
        let wanted = work
            .dimensions
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0);
        let found = Reference::parse(&work.model).ok();
        let model = found.and_then(|reference| call.core.library.find(&reference.name));
        let most = model.map_or(384, |model| model.spec.dimensions);
        let dimensions = wanted.map_or(most, |wanted| wanted.min(most));
        for input in &work.inputs {
            vectors.push(vector::of(input, dimensions, !old));
            tokens += input.split_whitespace().count();
        }
        drop(running);
    }
    drop(lease);
    let total = began.elapsed().as_nanos().max(2);
    Ok((
        work,
        Embedded {
            vectors,
            tokens,
            total,
            load,
        },
    ))
}

async fn lease(call: &Call, work: &Work, old: bool) -> Result<Lease, Refused> {
    let late = |status, text: String| Refused(status, text, false);
    let reference = match Reference::parse(&work.model) {
        Ok(reference) => reference,
        Err(NameError::Missing) if !old => {
            return Err(late(StatusCode::NOT_FOUND, missing_model(&work.model)));
        }
        Err(error) => return Err(late(StatusCode::BAD_REQUEST, error.to_string())),
    };
    if reference.source == Source::Cloud {
        let text = "ollama cloud is disabled: remote model is unavailable".to_owned();
        return Err(late(StatusCode::FORBIDDEN, text));
    }
    let Some(model) = call.core.library.find(&reference.name) else {
        let text = format!(
            "model {} not found, try pulling it first",
            quote_go(&work.model)
        );
        return Err(late(StatusCode::NOT_FOUND, text));
    };
    let options = options(work.options.as_ref())
        .map_err(|text| late(StatusCode::INTERNAL_SERVER_ERROR, text))?;
    let fault = load_fault(call);
    let ask = Ask {
        model: Arc::clone(&model),
        options: options.load,
        keep: work.keep,
        fault,
    };
    let lease = call.core.scheduler.acquire(&ask).await;
    lease.map_err(|refusal| late(refusal_status(&refusal), refusal.to_string()))
}
