//! What may be wrong with a request for text, checked in Ollama's order.

use std::sync::Arc;

use http::StatusCode;

use crate::{
    fault::Fault,
    gojson::quote_go,
    model::{Capability, Model, NameError, Reference, Source},
    request::{Api, Options, Work},
    router::Call,
    routes::missing_model,
    scheduler::{Ask, Lease, LoadFault, Refusal},
};

/// Why there is no answer.
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// True once the stream was prepared: the error is flushed as a chunk.
    pub(super) late: bool,
}

pub(super) fn refused<T>(
    status: StatusCode,
    message: impl Into<String>,
) -> Result<T, Box<Refused>> {
    Err(Box::new(Refused {
        status,
        message: message.into(),
        late: false,
    }))
}

pub(super) fn find(call: &Call, work: &Work) -> Result<Arc<Model>, Box<Refused>> {
    let reference = match Reference::parse(&work.model) {
        Ok(reference) => reference,
        Err(NameError::Missing) if work.api.completes() => {
            return refused(StatusCode::NOT_FOUND, missing_model(&work.model));
        }
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.to_string()),
    };
    if reference.source == Source::Cloud {
        let text = "ollama cloud is disabled: remote model is unavailable";
        return refused(StatusCode::FORBIDDEN, text);
    }
    let found = call.core.library.find(&reference.name);
    found.map_or_else(
        || refused(StatusCode::NOT_FOUND, missing_model(&work.model)),
        Ok,
    )
}

/// Checks what the model can do; tells whether it thinks.
pub(super) fn check(model: &Model, work: &Work) -> Result<bool, Box<Refused>> {
    let bad = |text: String| refused(StatusCode::BAD_REQUEST, text);
    if let Some(text) = &work.refused {
        return bad(text.clone());
    }
    let short = || quote_go(&work.model);
    let can_think = model.can(Capability::Thinking);
    if work.think == Some(true) && !can_think && work.api != Api::Messages {
        return bad(format!("{} does not support thinking", short()));
    }
    if !model.generates() {
        let what = if work.api.completes() {
            "generate"
        } else {
            "chat"
        };
        return bad(format!("{} does not support {what}", short()));
    }
    if work.insert && !model.can(Capability::Insert) {
        return bad(format!("{} does not support insert", model.name.full()));
    }
    if work.tool.is_some() && !model.can(Capability::Tools) {
        return bad(format!("{} does not support tools", model.name.full()));
    }
    Ok(can_think && work.think != Some(false))
}

pub(super) async fn lease(
    call: &Call,
    work: &Work,
    model: &Arc<Model>,
    options: Options,
) -> Result<Lease, Box<Refused>> {
    let mut load = options.load;
    load.shift = work.shift;
    let fault = load_fault(call);
    let ask = Ask {
        model: Arc::clone(model),
        options: load,
        keep: work.keep,
        fault,
    };
    call.core.scheduler.acquire(&ask).await.or_else(|refusal| {
        let status = refusal_status(&refusal);
        refused(status, refusal.to_string())
    })
}

/// The status of a refusal by the scheduler.
pub(crate) fn refusal_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::LoadFailed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The scripted fault of a load that this request may cause.
pub(crate) fn load_fault(call: &Call) -> Option<LoadFault> {
    match &call.strike.as_ref()?.fault {
        Fault::SlowLoad(more) => Some(LoadFault::Slow(*more)),
        Fault::LoadFails(text) => Some(LoadFault::Fails(text.clone())),
        Fault::ResetBeforeHead
        | Fault::CloseBeforeHead
        | Fault::ResetAfter(_)
        | Fault::CloseAfter(_)
        | Fault::EndAfter(_)
        | Fault::StallBeforeHead
        | Fault::StallAfter(_)
        | Fault::Trickle { .. }
        | Fault::GarbageAfter(_)
        | Fault::ErrorLineAfter { .. }
        | Fault::Status { .. }
        | Fault::Html
        | Fault::Raw(_)
        | Fault::RawWithoutEnd { .. }
        | Fault::ShortBody
        | Fault::DownAfter(_)
        | Fault::DownBeforeHead => None,
    }
}

/// A wrong format is only noticed once the runner is there.
pub(super) fn check_format(work: &Work) -> Result<(), Box<Refused>> {
    let Some(format) = work.format.as_deref() else {
        return Ok(());
    };
    if matches!(format, "\"json\"" | "\"\"") || format.starts_with('{') {
        return Ok(());
    }
    let text = format!(
        "invalid format: {}; expected \"json\" or a valid JSON Schema object",
        quote_go(format)
    );
    Err(Box::new(Refused {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        message: text,
        late: true,
    }))
}
