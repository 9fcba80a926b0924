//! The embedded stub as the target: foreman without an Ollama.

use foreman_ollama::TargetUrl;
use foreman_stub::{ModelSpec, RecordMode, Stub, StubOptions};

use super::ServeError;
use crate::args::EmbeddedStub;
use crate::settings::Settings;

/// Starts the stub and makes it the target.
pub(super) async fn start(
    wanted: &EmbeddedStub,
    settings: &mut Settings,
) -> Result<Stub, ServeError> {
    let EmbeddedStub {
        models,
        load_time,
        token_pace,
        tokens,
        max_loaded,
        listen,
    } = wanted;
    let options = StubOptions {
        listen: *listen,
        models: models.iter().map(|name| model(name)).collect(),
        load_time: load_time.unwrap_or_default(),
        token_pace: token_pace.unwrap_or_default(),
        tokens: tokens.and_then(|tokens| usize::try_from(tokens).ok()),
        max_loaded: max_loaded.and_then(|models| usize::try_from(models).ok()),
    };
    let stub = Stub::builder()
        .options(options)
        // It runs for as long as foreman does: only sums are kept.
        .recording(RecordMode::Counters)
        .start()
        .await?;
    settings.target.url = TargetUrl::parse(&stub.url())?;
    Ok(stub)
}

/// Makes a model of a name; the usual embedding models are known by theirs.
fn model(name: &str) -> ModelSpec {
    let lower = name.to_ascii_lowercase();
    if lower.contains("embed") || lower.contains("minilm") {
        ModelSpec::embedding(name)
    } else {
        ModelSpec::chat(name)
    }
}
