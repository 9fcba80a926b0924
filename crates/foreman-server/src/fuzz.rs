//! Readers of foreign text, for the fuzzing targets; nothing else is to use them.

use std::time::Duration;

use bytes::Bytes;
use foreman_job::Priority;
use http::{HeaderMap, Method};

use crate::auth::Auth;
use crate::query::{self, Query};
use crate::router::{self, Route};
use crate::routes::jobs::fuzz as jobs;
use crate::terms::Terms;

/// What headers ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The key.
    pub key: Option<String>,
    /// When the job expires.
    pub expires_in: Option<Duration>,
    /// How often there is a sign of life.
    pub heartbeat: Option<Duration>,
    /// The class, by a caller that may have any.
    pub priority: Priority,
}

/// Reads the terms of a request.
pub fn terms(headers: &HeaderMap) -> Option<Asked> {
    let caller = Auth::new(Vec::new(), 1).anonymous(Priority::High);
    let terms = Terms::read(headers, &caller).ok()?;
    Some(Asked {
        key: terms.idempotency_key,
        expires_in: terms.expires_in,
        heartbeat: terms.heartbeat,
        priority: terms.priority,
    })
}

/// Reads a duration.
pub fn duration(text: &str) -> Option<Duration> {
    query::duration(text)
}

/// Reads a query; returns the value of a parameter.
pub fn query(text: &str, name: &str) -> Option<String> {
    Query::read(Some(text)).ok()?.text(name)
}

/// Reads a cursor, and returns how it is written.
pub fn cursor(text: &str) -> Option<String> {
    jobs::cursor(text)
}

/// Finds a route; returns where to, if the path is to be asked for in another spelling.
pub fn redirect(method: &Method, path: &str) -> Option<String> {
    match router::route(method, path, None) {
        Route::Redirect(redirect) => Some(redirect.location),
        Route::Queued(_)
        | Route::Direct
        | Route::Inventory(_)
        | Route::Ps
        | Route::LiveChange
        | Route::Live
        | Route::Jobs(_)
        | Route::Own(_)
        | Route::NotAllowed(_) => None,
    }
}

/// Reads a submission; returns its request and its metadata.
pub fn submission(json: &Bytes) -> Option<(Bytes, Option<String>)> {
    jobs::submission(json)
}

/// Reads many submissions as an array.
pub fn array(body: &Bytes, most: usize) -> Option<Vec<Bytes>> {
    jobs::array(body, most)
}

/// Reads many submissions as lines.
pub fn lines(body: &Bytes, most: usize) -> Option<Vec<Bytes>> {
    jobs::lines(body, most)
}
