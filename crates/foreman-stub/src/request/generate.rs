//! `/api/generate`.

use super::{
    fields::{Common, common, image},
    work::{Api, Work, tokens_of},
};
use crate::{
    frame::Native,
    gojson::{Decoder, GoError, GoType, Node, folded},
};

/// Decodes the body of a completion.
pub(crate) fn generate(body: &Node, bytes: &[u8]) -> Result<Work, GoError> {
    let mut decoder = Decoder::new("api.GenerateRequest", body);
    let mut shared = Common::default();
    let (mut prompt, mut suffix) = (String::new(), String::new());
    let (mut system, mut template) = (String::new(), String::new());
    let (mut raw, mut context) = (false, false);
    for (key, node) in folded(body) {
        match key.as_ref() {
            "prompt" => decoder.string(node, "prompt", &mut prompt),
            "suffix" => decoder.string(node, "suffix", &mut suffix),
            "system" => decoder.string(node, "system", &mut system),
            "template" => decoder.string(node, "template", &mut template),
            "raw" => decoder.boolean(node, "raw", &mut raw),
            "context" => {
                decoder.check(node, "context", GoType::List("[]int", &GoType::Int));
                context = !node.value.items().is_empty();
            }
            "images" => {
                for item in decoder.list(node, "images", "[]api.ImageData") {
                    image(&mut decoder, item, "images");
                }
            }
            other => _ = common(&mut decoder, other, node, &mut shared),
        }
    }
    let shared = decoder.finish(shared)?;
    let logprobs = shared.alternatives().map_err(GoError)?;
    let styled = !system.is_empty() || !template.is_empty() || context;
    let refused = "raw mode does not support template, system, or context";
    let framer = Box::new(Native::generate(&shared.model, raw));
    let work = Work::new(Api::Generate, shared.model, framer);
    Ok(Work {
        stream: shared.stream.unwrap_or(true),
        keep: shared.keep,
        options: shared.options,
        shift: shared.shift,
        think: shared.think,
        format: shared.format.map(|node| node.raw.of(bytes)),
        empty: prompt.is_empty(),
        prompt_tokens: tokens_of(&prompt) + tokens_of(&system),
        rendered: shared.render_only.then(|| prompt.clone()),
        text: prompt,
        logprobs,
        insert: !suffix.is_empty(),
        refused: (raw && styled).then(|| refused.to_owned()),
        ..work
    })
}
