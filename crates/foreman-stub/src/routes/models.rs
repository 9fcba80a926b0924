//! `/v1/models` and `/v1/models/:model`.

use http::StatusCode;

use super::error::{missing_model, openai_error};
use crate::{
    gojson::{Obj, array},
    model::{Model, Reference, Source},
    reply::{JSON_BARE, Reply},
    router::Call,
};

/// Lists all models.
pub(super) fn list(call: &Call) -> Reply {
    let models = call.core.library.list();
    let data = array(
        models
            .iter()
            .map(|model| described(model, &model.name.short())),
    );
    let body = Obj::new().str("object", "list").raw("data", &data).end();
    Reply::new(StatusCode::OK, JSON_BARE, body + "\n")
}

/// Describes one model under the name that was asked for.
pub(super) fn one(call: &Call) -> Reply {
    let wanted = &call.param;
    let refused = |status, message: &str| {
        let body = openai_error(status, message);
        Reply::new(status, JSON_BARE, body + "\n")
    };
    let reference = match Reference::parse(wanted) {
        Ok(reference) => reference,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if reference.source == Source::Cloud {
        let text = "ollama cloud is disabled: remote model details are unavailable";
        return Reply::error(StatusCode::FORBIDDEN, text);
    }
    match call.core.library.find(&reference.name) {
        Some(model) => {
            let body = described(&model, wanted) + "\n";
            Reply::new(StatusCode::OK, JSON_BARE, body)
        }
        None => refused(
            StatusCode::NOT_FOUND,
            &missing_model(&reference.name.short()),
        ),
    }
}

fn described(model: &Model, id: &str) -> String {
    let object = Obj::new().str("id", id).str("object", "model");
    let object = object.put("created", model.modified.as_second());
    object.str("owned_by", model.name.namespace()).end()
}
