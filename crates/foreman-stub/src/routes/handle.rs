//! Hands a request to the handler of its route.

use http::StatusCode;

use super::{Route, audio, blobs, embed, infer, manage, models, progress, ps, show, tags};
use crate::{
    gojson::{Obj, SyntaxError},
    reply::Reply,
    router::Call,
};

/// A model that nobody has.
const RECOMMENDED: &str = r#"{"recommendations":[{"model":"stub-large:cloud","description":"A large model that answers far away","context_length":262144,"max_output_tokens":131072}]}"#;

/// Answers a request to a route.
pub(crate) async fn handle(route: Route, call: Box<Call>) -> Reply {
    match route {
        Route::Root => Reply::new(
            StatusCode::OK,
            "text/plain; charset=utf-8",
            "Ollama is running",
        ),
        Route::Version => Reply::json(Obj::new().str("version", &call.core.settings.version).end()),
        Route::Status => Reply::json(r#"{"cloud":{"disabled":true,"source":"env"}}"#.to_owned()),
        Route::Me => Reply::error(StatusCode::SERVICE_UNAVAILABLE, "account unavailable"),
        Route::WebSearch => {
            if matches!(call.parsed, Err(SyntaxError::Empty)) {
                return Reply::bad("missing request body");
            }
            let text = "ollama cloud is disabled: web search is unavailable";
            Reply::error(StatusCode::FORBIDDEN, text)
        }
        Route::Recommendations => Reply::json(RECOMMENDED.to_owned()),
        Route::Signout => Reply::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "there was an error signing out",
        ),
        Route::Tags => tags::tags(&call),
        Route::Ps => ps::ps(&call),
        Route::Show => show::show(&call),
        Route::Copy => manage::copy(&call),
        Route::Delete => manage::delete(&call),
        Route::Pull => progress::pull(&call),
        Route::Push => progress::push(&call),
        Route::Create => progress::create(&call),
        Route::BlobHead => blobs::head(&call),
        // Uploads are handled before the body is read.
        Route::BlobUpload => Reply::empty(StatusCode::CREATED),
        Route::Embed => embed::embed(call).await,
        Route::Embeddings => embed::embeddings(call).await,
        Route::V1Embeddings => embed::openai(call).await,
        Route::Models => models::list(&call),
        Route::Model => models::one(&call),
        Route::Transcriptions => audio::transcribe(call).await,
        Route::Text(api) => infer::infer(api, call).await,
    }
}
