//! Lists of jobs.

use std::sync::Arc;

use foreman_job::{Endpoint, Job, JobState};
use foreman_ollama::ModelName;
use foreman_store::{JobFilter, JobList, ModelFilter};
use serde::Serialize;

use super::cursor::{self, Cursor};
use super::object::{self, JobObject};
use super::query;
use crate::app::Call;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::response::{self, Response};

/// Jobs on a page when nobody says how many.
const PAGE: usize = 100;
/// Jobs on a page at most.
const LARGEST: usize = 1000;

#[derive(Serialize)]
struct Page {
    jobs: Vec<JobObject>,
    next: Option<String>,
}

/// What is wanted of the list.
struct Wanted {
    filter: JobFilter,
    mark: [u8; 4],
    limit: usize,
    before: Option<i64>,
}

/// Answers with a page of jobs, the newest first.
pub(super) async fn answer(call: &Call) -> Result<Response, ApiError> {
    let Wanted {
        mut filter,
        mark,
        limit,
        before,
    } = Wanted::read(call)?;
    if let Some(name) = call.caller.name.as_deref() {
        let others = filter.caller.as_deref().is_some_and(|it| it != name);
        if others {
            return Ok(page(Vec::new(), None));
        }
        filter.caller = Some(name.to_owned());
    }
    let store = call.app.scheduler.store();
    // Never closed.
    let turn = call.app.lists.acquire().await;
    // One more than wanted tells whether there is another page.
    let found = store.list(filter, before, limit.saturating_add(1)).await;
    let JobList { jobs, rest } = found.map_err(|error| ApiError::store(&error))?;
    drop(turn);
    let mut found: Vec<Job> = jobs;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more);
    // A search that was not brought to its end goes on where it stopped.
    let next = last.map(|job| job.seq).or(rest);
    let next = next.map(|before| Cursor {
        before,
        filter: mark,
    });
    let jobs = object::describe_all(&call.app, found).await;
    Ok(page(jobs.collect(), next))
}

fn page(jobs: Vec<JobObject>, next: Option<Cursor>) -> Response {
    let next = next.map(Cursor::write);
    response::json(200, object::text(&Page { jobs, next }))
}

impl Wanted {
    fn read(call: &Call) -> Result<Self, ApiError> {
        let mut query = query(call)?;
        let state: Option<JobState> =
            query.value("state", "expected a state such as queued", |it| {
                it.parse().ok()
            })?;
        let endpoint: Option<Endpoint> =
            query.value("endpoint", "expected a route such as /api/chat", |it| {
                it.parse().ok()
            })?;
        let model = query.value("model", "expected the name of a model", |it| {
            ModelName::parse(it).ok().map(|name| (it.to_owned(), name))
        })?;
        let caller = query.text("caller");
        let limit = query.value("limit", "expected a number from 1 to 1000", |it| {
            it.parse()
                .ok()
                .filter(|limit| (1..=LARGEST).contains(limit))
        })?;
        let after = query.value("after", "expected the cursor of a page", Cursor::read)?;
        query.finish()?;
        let (spelled, name) = model.unzip();
        let mark = cursor::mark(&[
            state.map(JobState::as_str),
            endpoint.map(Endpoint::path),
            spelled.as_deref(),
            caller.as_deref(),
        ]);
        if after.is_some_and(|after| after.filter != mark) {
            let message = "parameter after: the cursor belongs to a list with other filters";
            return Err(ApiError::new(Fault::BadRequest, message));
        }
        Ok(Self {
            filter: JobFilter {
                state,
                endpoint,
                caller,
                model: name.map(same_model),
            },
            mark,
            limit: limit.unwrap_or(PAGE),
            before: after.map(|after| after.before),
        })
    }
}

/// Compares models as the target does.
fn same_model(wanted: ModelName) -> ModelFilter {
    Arc::new(move |model| ModelName::parse(model).is_ok_and(|name| name == wanted))
}
