//! `/api/tags`, and what it shares with the other descriptions of models.

use crate::{
    clock::local,
    gojson::{Obj, array},
    model::Model,
    reply::Reply,
    router::Call,
};

/// Lists all models, the newest first.
pub(super) fn tags(call: &Call) -> Reply {
    let offset = call.core.settings.offset;
    let one = |model: &Model| {
        let name = model.name.short();
        let object = Obj::new().str("name", &name).str("model", &name);
        let object = object.str("modified_at", &local(model.modified, offset));
        let object = object
            .put("size", model.spec.size)
            .str("digest", &model.spec.digest);
        let details = details(model).put("context_length", model.spec.trained_context);
        let details = details.put("embedding_length", model.spec.dimensions).end();
        object
            .raw("details", &details)
            .raw("capabilities", &capabilities(model))
            .end()
    };
    let models = array(call.core.library.list().iter().map(|model| one(model)));
    Reply::json(Obj::new().raw("models", &models).end())
}

/// The details that every description has.
pub(super) fn details(model: &Model) -> Obj {
    let family = model.family();
    let object = Obj::new()
        .str("parent_model", &model.spec.from)
        .str("format", "gguf");
    let object = object
        .str("family", family)
        .raw("families", &format!("[\"{family}\"]"));
    object
        .str("parameter_size", "1.2B")
        .str("quantization_level", "Q8_0")
}

/// What the model can do, as a JSON array.
pub(super) fn capabilities(model: &Model) -> String {
    array(
        model
            .spec
            .capabilities
            .iter()
            .map(|capability| format!("\"{}\"", capability.as_str())),
    )
}
