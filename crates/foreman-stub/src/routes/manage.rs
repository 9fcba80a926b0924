//! `/api/copy` and `/api/delete`.

use http::StatusCode;

use super::{
    error::{missing_model, native_syntax},
    show::named,
};
use crate::{
    gojson::{Decoder, folded, quote_go},
    model::{ModelSpec, Name, Reference},
    reply::Reply,
    router::Call,
};

/// Gives a model a second name.
pub(super) fn copy(call: &Call) -> Reply {
    let body = match &call.parsed {
        Ok(body) => body,
        Err(error) => return Reply::bad(&native_syntax(error)),
    };
    let mut decoder = Decoder::new("api.CopyRequest", body);
    let (mut source, mut destination) = (String::new(), String::new());
    for (key, node) in folded(body) {
        match key.as_ref() {
            "source" => decoder.string(node, "source", &mut source),
            "destination" => decoder.string(node, "destination", &mut destination),
            _ => {}
        }
    }
    if let Err(error) = decoder.finish(()) {
        return Reply::bad(&error.to_string());
    }
    let Some(from) = Name::parse(&source) else {
        return Reply::bad(&format!("source {} is invalid", quote_go(&source)));
    };
    let Some(to) = Name::parse(&destination) else {
        return Reply::bad(&format!(
            "destination {} is invalid",
            quote_go(&destination)
        ));
    };
    let Some(model) = call.core.library.find(&from) else {
        return Reply::missing(&format!("model {} not found", quote_go(&source)));
    };
    let spec = ModelSpec::alias_of(&model.spec, &to.short());
    call.core.library.add(to, spec, call.core.clock.now());
    Reply::empty(StatusCode::OK)
}

/// Removes a model.
pub(super) fn delete(call: &Call) -> Reply {
    let body = match &call.parsed {
        Ok(body) => body,
        Err(error) => return Reply::bad(&native_syntax(error)),
    };
    let wanted = match named(body, "api.DeleteRequest") {
        Ok(wanted) => wanted,
        Err(text) => return Reply::bad(&text),
    };
    let reference = match Reference::parse(&wanted) {
        Ok(reference) => reference,
        Err(error) => return Reply::bad(&error.to_string()),
    };
    let Some(model) = call.core.library.find(&reference.name) else {
        return Reply::missing(&missing_model(&wanted));
    };
    call.core.library.remove(&reference.name);
    let blob = &model.spec.blob;
    if !call
        .core
        .library
        .list()
        .iter()
        .any(|other| other.spec.blob == *blob)
    {
        call.core.scheduler.unload(&model);
    }
    Reply::empty(StatusCode::OK)
}
