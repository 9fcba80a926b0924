//! The inventory as bytes, so that it survives a restart.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client::Answer;
use crate::poller::snapshot::{self, InventorySnapshot};

/// Grows when older programs could misread what is written.
const VERSION: u32 = 1;

/// Why bytes are no saved inventory.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// They are not what was ever written.
    #[error("saved inventory is not readable")]
    Format(#[from] serde_json::Error),
    /// A newer program wrote them.
    #[error("saved inventory has version {0}, newer than this program")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    since: Timestamp,
    last_poll: Option<Timestamp>,
    tags: Option<SavedAnswer>,
    target_version: Option<SavedAnswer>,
    v1_models: Option<SavedAnswer>,
}

#[derive(Serialize, Deserialize)]
struct SavedAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl InventorySnapshot {
    /// Writes what stays true without the target: not what is loaded, nor whether it is in reach.
    pub fn to_bytes(&self) -> Bytes {
        let saved = Saved {
            version: VERSION,
            since: self.since,
            last_poll: self.last_poll,
            tags: self.tags.as_ref().and_then(save),
            target_version: self.version.as_ref().and_then(save),
            v1_models: self.v1_models.as_ref().and_then(save),
        };
        // Texts and numbers only: nothing in there can refuse to be written.
        Bytes::from(serde_json::to_vec(&saved).unwrap_or_default())
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// Bytes from anywhere else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // The version comes first: a newer one may look different in the rest.
        let Versioned { version } = serde_json::from_slice(bytes)?;
        if version > VERSION {
            return Err(SnapshotError::Version(version));
        }
        let saved: Saved = serde_json::from_slice(bytes)?;
        let tags = saved.tags.map(restore);
        let models = match &tags {
            Some(tags) => snapshot::models(&tags.body)?,
            None => std::collections::BTreeMap::new(),
        };
        Ok(Self {
            tags,
            models,
            version: saved.target_version.map(restore),
            v1_models: saved.v1_models.map(restore),
            last_poll: saved.last_poll,
            ..Self::empty(saved.since)
        })
    }
}

/// Bodies are kept as text, which JSON always is; what is none is not kept.
fn save(answer: &Answer) -> Option<SavedAnswer> {
    Some(SavedAnswer {
        status: answer.status.as_u16(),
        headers: answer
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect(),
        body: std::str::from_utf8(&answer.body).ok()?.to_owned(),
    })
}

fn restore(saved: SavedAnswer) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in saved.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    Answer {
        status: StatusCode::from_u16(saved.status).unwrap_or(StatusCode::OK),
        headers,
        body: Bytes::from(saved.body),
    }
}
