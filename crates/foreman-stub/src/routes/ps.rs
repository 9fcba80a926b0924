//! `/api/ps`: the models that are loaded.

use super::tags::details;
use crate::{
    clock::local,
    gojson::{Obj, array},
    reply::Reply,
    router::Call,
};

/// Lists the loaded models, the one that stays longest first.
pub(super) fn ps(call: &Call) -> Reply {
    let offset = call.core.settings.offset;
    let resident = call.core.scheduler.resident();
    let models = array(resident.iter().map(|runner| {
        let (name, spec) = (runner.model.name.short(), &runner.model.spec);
        let object = Obj::new()
            .str("name", &name)
            .str("model", &name)
            .put("size", spec.size);
        let object = object
            .str("digest", &spec.digest)
            .raw("details", &details(&runner.model).end());
        let object = object.str("expires_at", &local(runner.expires, offset));
        object
            .put("size_vram", spec.size)
            .put("context_length", runner.context)
            .end()
    }));
    Reply::json(Obj::new().raw("models", &models).end())
}
