//! Decides about a request body in the order in which Ollama does.

use crate::name::{ModelName, NameError};
use crate::request::api::{Api, Shape};
use crate::request::draft::{Draft, Input};
use crate::request::form;
use crate::request::json::SyntaxError;
use crate::request::keep_alive::KeepAlive;
use crate::request::options::LoadOptions;
use crate::request::rejection::{Place, Rejection, missing};
use crate::request::text::quoted;

/// What scheduling needs to know of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The model as the caller spells it, which is also how answers spell it.
    pub model: String,
    /// The same, for comparing.
    pub name: ModelName,
    /// Whether the answer comes in pieces.
    pub stream: bool,
    /// How long the caller wants the model kept, if it says.
    pub keep_alive: Option<KeepAlive>,
    /// The options that a loaded model must have been loaded with.
    pub load_options: LoadOptions,
    /// What is asked for.
    pub kind: RequestKind,
    /// Index of the closing brace of the request object; a form has none.
    pub object_end: usize,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// Work for the model.
    Generate,
    /// Only that the model gets loaded.
    LoadOnly,
    /// Only that the model gets unloaded.
    Unload,
}

/// Reads a request body.
///
/// Keys are taken in any case, of equal keys the last one, unknown keys not at all, and nothing
/// after the first value. Big texts are neither copied nor kept.
///
/// # Errors
///
/// What the target would refuse without loading anything. A check that needs the model's
/// capabilities is the target's, and so is what it finds only after such a check. A transcription comes as a form, which is never JSON: see
/// [`scan_form`](crate::scan_form).
pub fn scan(api: Api, body: &[u8]) -> Result<RequestHead, Rejection> {
    if api == Api::V1AudioTranscriptions {
        return form::scan_form(None, body);
    }
    let mut draft = Draft::read(api, body).map_err(|error| not_json(api, error))?;
    if let Some(fault) = draft.fault() {
        return Err(Rejection::new(api, Place::Translation, 400, fault));
    }
    check_before_model(api, &draft)?;
    let name = ModelName::parse(&draft.model).map_err(|error| bad_name(api, &draft, &error))?;
    let kind = kind(api, &draft);
    let stream = !api.is_embedding() && draft.stream.unwrap_or_else(|| api.streams_by_default());
    let place = if stream {
        Place::Stream
    } else {
        Place::Handler
    };
    let late = |place, status, message: String| {
        Err(Rejection::new(api, place, status, message).after(&draft.model))
    };
    if kind != RequestKind::Unload && draft.raw.is_contradicted() {
        let message = "raw mode does not support template, system, or context";
        return late(Place::Handler, 400, message.to_owned());
    }
    // The target looks at what the model can do before it finds the other faults, and it alone
    // knows that: where something special is asked of the model, the target decides.
    if !draft.demands.any() {
        if let Some(message) = options_fault(&draft, kind) {
            return late(Place::Handler, 500, message);
        }
        if let Some(message) = format_fault(&draft, kind) {
            return late(place, 500, message);
        }
    }
    Ok(RequestHead {
        name,
        stream,
        keep_alive: draft.keep_alive,
        load_options: draft.options.load_options(draft.shift),
        kind,
        object_end: draft.end,
        model: draft.model,
    })
}

fn not_json(api: Api, error: SyntaxError) -> Rejection {
    let message = if error == SyntaxError::Empty && api.shape() == Shape::Ollama {
        "missing request body".to_owned()
    } else {
        error.message()
    };
    Rejection::new(api, Place::Translation, 400, message)
}

fn check_before_model(api: Api, draft: &Draft) -> Result<(), Rejection> {
    let refuse = |message: &str| Err(Rejection::new(api, Place::Translation, 400, message));
    match api {
        Api::Chat | Api::Generate if !(0..=20).contains(&draft.top_logprobs) => {
            refuse("top_logprobs must be between 0 and 20")
        }
        Api::V1ChatCompletions if !draft.content.has_messages => {
            refuse("[] is too short - 'messages'")
        }
        Api::V1Embeddings if !is_encoding(&draft.encoding_format) => refuse(&format!(
            "Invalid value for 'encoding_format' = {}. Supported values: ['float', 'base64'].",
            draft.encoding_format
        )),
        Api::V1Embeddings if matches!(draft.content.input, Input::Absent | Input::EmptyList) => {
            refuse("invalid input")
        }
        Api::V1Messages if draft.model.is_empty() => refuse("model is required"),
        Api::V1Messages if draft.max_tokens <= 0 => {
            refuse("max_tokens is required and must be positive")
        }
        Api::V1Messages if !draft.content.has_messages => refuse("messages is required"),
        Api::Chat
        | Api::Generate
        | Api::Embed
        | Api::Embeddings
        | Api::V1ChatCompletions
        | Api::V1Completions
        | Api::V1Embeddings
        | Api::V1Responses
        | Api::V1Messages
        | Api::V1AudioTranscriptions => Ok(()),
    }
}

fn is_encoding(format: &str) -> bool {
    let known = ["", "float", "base64"];
    known.iter().any(|it| format.eq_ignore_ascii_case(it))
}

fn bad_name(api: Api, draft: &Draft, error: &NameError) -> Rejection {
    let (status, message) = match (error, api) {
        // Half of the routes look an empty name up and do not find it.
        (
            NameError::Required,
            Api::Generate | Api::Embed | Api::V1Completions | Api::V1Embeddings,
        ) => (404, missing(&draft.model)),
        (
            NameError::Required,
            Api::Chat
            | Api::Embeddings
            | Api::V1ChatCompletions
            | Api::V1Responses
            | Api::V1Messages
            | Api::V1AudioTranscriptions,
        )
        | (NameError::ConflictingSource(_) | NameError::Invalid, _) => (400, error.to_string()),
    };
    Rejection::new(api, Place::Handler, status, message).of_stream(api, draft.stream == Some(true))
}

fn kind(api: Api, draft: &Draft) -> RequestKind {
    let content = &draft.content;
    let (empty, unloads) = match api {
        Api::Chat => (!content.has_messages, true),
        Api::Generate => (!content.has_prompt, true),
        Api::V1Completions | Api::Embeddings => (!content.has_prompt, false),
        Api::Embed => (content.input != Input::Something, false),
        Api::V1Embeddings
        | Api::V1ChatCompletions
        | Api::V1Responses
        | Api::V1Messages
        | Api::V1AudioTranscriptions => (false, false),
    };
    match draft.keep_alive {
        _ if !empty => RequestKind::Generate,
        Some(keep_alive) if unloads && keep_alive.is_zero() => RequestKind::Unload,
        Some(_) | None => RequestKind::LoadOnly,
    }
}

/// Returns what the target finds only once it knows that the model can do what is asked.
fn options_fault(draft: &Draft, kind: RequestKind) -> Option<String> {
    if kind == RequestKind::Unload {
        return None;
    }
    draft.options.wrong_type()
}

/// Returns what the target finds only when the runner is there, and so perhaps in a stream.
fn format_fault(draft: &Draft, kind: RequestKind) -> Option<String> {
    let format = draft.bad_format.as_deref()?;
    let format = quoted(format);
    (kind == RequestKind::Generate).then(|| {
        format!("invalid format: {format}; expected \"json\" or a valid JSON Schema object")
    })
}
