//! The part of the table of routes that is about jobs.

use http::Method;

use crate::router::Route;

const POST: &[Method] = &[Method::POST];
const GET: &[Method] = &[Method::GET];
const HEAD_GET: &[Method] = &[Method::HEAD, Method::GET];
const HEAD_GET_POST: &[Method] = &[Method::HEAD, Method::GET, Method::POST];
const HEAD_GET_DELETE: &[Method] = &[Method::HEAD, Method::GET, Method::DELETE];

/// Foreman's own routes about jobs; the method says what of them is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobsRoute {
    /// `/foreman/v1/jobs`
    All,
    /// `/foreman/v1/jobs/{id}…`, with the id as it was written.
    One(String, JobRoute),
    /// `/foreman/v1/events`
    Events,
}

/// What of a job is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobRoute {
    /// Itself.
    Job,
    /// Its answer.
    Output,
    /// Its log.
    Stream,
    /// What it asks.
    Request,
    /// That it is cancelled.
    Cancel,
    /// That it is repeated.
    Retry,
}

/// The routes about jobs.
pub(crate) fn find(path: &str) -> Option<(Route, &'static [Method])> {
    let path = path.strip_prefix("/foreman/v1/")?;
    let one = |id: &str, route, methods| {
        let id = id.to_owned();
        Some((Route::Jobs(JobsRoute::One(id, route)), methods))
    };
    let mut parts = path.split('/');
    match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        ("jobs", None, ..) => Some((Route::Jobs(JobsRoute::All), HEAD_GET_POST)),
        ("events", None, ..) => Some((Route::Jobs(JobsRoute::Events), GET)),
        (_, Some(""), ..) => None,
        ("jobs", Some(id), None, _) => one(id, JobRoute::Job, HEAD_GET_DELETE),
        ("jobs", Some(id), Some("output"), None) => one(id, JobRoute::Output, HEAD_GET),
        ("jobs", Some(id), Some("stream"), None) => one(id, JobRoute::Stream, GET),
        ("jobs", Some(id), Some("request"), None) => one(id, JobRoute::Request, HEAD_GET),
        ("jobs", Some(id), Some("cancel"), None) => one(id, JobRoute::Cancel, POST),
        ("jobs", Some(id), Some("retry"), None) => one(id, JobRoute::Retry, POST),
        _ => None,
    }
}
