//! `/api/blobs/:digest`: uploads are read, hashed and forgotten.

use std::sync::PoisonError;

use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};

use crate::{
    core::Core,
    gojson::quote_go,
    model::hex,
    reply::{JSON, Reply},
    router::Call,
};

/// Tells whether a blob is there.
pub(super) fn head(call: &Call) -> Reply {
    let Some(digest) = valid(&call.param) else {
        return Reply::bad("invalid digest format");
    };
    let known = call
        .core
        .blobs
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains_key(&digest);
    let model = || {
        call.core
            .library
            .list()
            .iter()
            .any(|model| model.spec.blob == digest)
    };
    if known || model() {
        Reply::empty(StatusCode::OK)
    } else {
        Reply::missing(&format!("blob {} not found", quote_go(&call.param)))
    }
}

/// Reads a blob in constant memory; only its digest and size are remembered.
pub(crate) async fn upload(core: &Core, param: &str, mut body: Incoming) -> Reply {
    let Some(wanted) = valid(param) else {
        return Reply::bad("invalid digest format");
    };
    let known = core
        .blobs
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains_key(&wanted);
    if known {
        return Reply::empty(StatusCode::OK);
    }
    let (mut hash, mut size) = (Sha256::new(), 0_u64);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Reply::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                JSON,
                r#"{"error":"unexpected EOF"}"#,
            );
        };
        if let Some(data) = frame.data_ref() {
            hash.update(data);
            size += u64::try_from(data.len()).unwrap_or(u64::MAX);
        }
    }
    let found = hex(&hash.finalize());
    if found != wanted {
        let (wanted, found) = (format!("sha256:{wanted}"), format!("sha256:{found}"));
        let (wanted, found) = (quote_go(&wanted), quote_go(&found));
        return Reply::bad(&format!("digest mismatch, expected {wanted}, got {found}"));
    }
    core.blobs
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(wanted, size);
    Reply::empty(StatusCode::CREATED)
}

/// The hex digits of a digest.
fn valid(param: &str) -> Option<String> {
    let digits = param
        .strip_prefix("sha256:")
        .or_else(|| param.strip_prefix("sha256-"))?;
    let fits = digits.len() == 64 && digits.chars().all(|c| c.is_ascii_hexdigit());
    fits.then(|| digits.to_ascii_lowercase())
}
