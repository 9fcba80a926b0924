//! `/v1/models` and `/v1/models/:model`.

use http::StatusCode;

use super::error::{missing_model, openai_error};
use crate::{
    gojson::{Obj, array},
    model::{Model, Name},
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
    let name = Name::parse(wanted);
    let found = name.as_ref().and_then(|name| call.core.library.find(name));
    if let Some(model) = found {
        let body = described(&model, wanted) + "\n";
        return Reply::new(StatusCode::OK, JSON_BARE, body);
    }
    let shown = name.map_or_else(|| wanted.clone(), |name| name.short());
    let body = openai_error(StatusCode::NOT_FOUND, &missing_model(&shown));
    Reply::new(StatusCode::NOT_FOUND, JSON_BARE, body + "\n")
}

fn described(model: &Model, id: &str) -> String {
    let object = Obj::new().str("id", id).str("object", "model");
    let object = object.put("created", model.modified.as_second());
    object.str("owned_by", model.name.namespace()).end()
}
