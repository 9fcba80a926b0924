//! Submitting jobs: one, or many at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use foreman_job::Endpoint;
use foreman_ollama::{Rejection, RequestHead, RequestKind, Shape, unknown_model};
use foreman_scheduler::{Detached, NewRequest, SubmitError, WhenCallerLeaves, api_of, runner_key};
use foreman_store::IdempotencyKey;
use futures_util::future::{MaybeDone, join_all, maybe_done};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use tokio::task::unconstrained;

use super::submission::{Inner, Said, Sender, Submission};
use super::{batch, object};
use crate::app::{App, Call};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::fault::Fault;
use crate::request;
use crate::response::{self, Response};
use crate::routes::wish::{self, NoJob, Place};
use crate::shape;
use crate::terms::Terms;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const PATH: &str = "/foreman/v1/jobs";

/// So many jobs are accepted together, while the next ones are read. What several of them change is
/// written once for each part.
const PART: usize = 512;

/// How many submissions are in a body, and how they are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    One,
    Array,
    Lines,
}

/// What stands before, between and after the results of many submissions.
#[derive(Debug, Clone, Copy)]
struct Around {
    first: &'static str,
    between: &'static str,
    last: &'static str,
}

const AS_ARRAY: Around = Around {
    first: "[",
    between: ",",
    last: "]",
};

const AS_LINES: Around = Around {
    first: "",
    between: "\n",
    last: "\n",
};

/// What many submissions have in common.
struct Batch<'a> {
    caller: &'a Caller,
    headers: &'a HeaderMap,
    sender: Sender,
    key: Option<String>,
}

/// Makes each submission of a body a job.
pub(super) async fn answer(call: Call) -> Result<Response, ApiError> {
    let app = &call.app;
    let (head, body) = call.request.into_parts();
    let terms = Terms::read(&head.headers, &call.caller)?;
    let limits = app.limits(app.config.max_body);
    let whole = request::read(body, limits, &call.wishes).await?;
    let batch = Batch {
        caller: &call.caller,
        headers: &head.headers,
        sender: Sender::of(&head.headers),
        key: terms.idempotency_key,
    };
    let answered = batch.submit(app, &whole.bytes).await;
    // Its memory counts until all of it was handed on.
    drop(whole);
    answered
}

/// Makes one submission a job, on behalf of a caller.
pub(super) async fn one(
    app: &App,
    caller: Option<&str>,
    submission: Submission,
) -> Result<Detached, ApiError> {
    let wish = check(app, &submission.inner).await?;
    accept(app, job(app, caller, submission, &wish)).await
}

/// Answers with what became of one submission.
pub(crate) async fn submitted(app: &App, made: Detached) -> Response {
    let status = if made.is_new { 202 } else { 200 };
    let mut response = object::made(app, status, made.job).await;
    if !made.is_new {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert(REPLAYED, replayed);
    }
    response
}

/// Makes each item a job, and writes what became of each, in their order.
///
/// Those of one part are accepted while the next ones are read, as long as nobody has to be asked
/// about any of them. From the first one on of which somebody has, all wait together: the jobs stay
/// in the order of the items.
async fn many(
    app: &App,
    batch: &Batch<'_>,
    items: Vec<Bytes>,
    around: Around,
) -> Result<Vec<u8>, ApiError> {
    if items.is_empty() {
        return Err(ApiError::new(Fault::BadRequest, "nothing was submitted"));
    }
    batch.caller.charge(items.len().saturating_sub(1));
    let checks = items.into_iter().enumerate().map(async |(index, item)| {
        let submission = batch.submission(index, &item)?;
        let wish = check(app, &submission.inner).await?;
        Ok::<_, ApiError>(job(app, batch.caller.name.as_deref(), submission, &wish))
    });
    let mut checks = checks.fuse();
    let (mut parts, mut late) = (Vec::new(), Vec::new());
    while late.is_empty() {
        let mut part = begin(checks.by_ref().take(PART)).await;
        if part.is_empty() {
            break;
        }
        if part.iter().any(is_waiting) {
            late = part;
            late.append(&mut begin(checks.by_ref()).await);
        } else {
            let checked = part.iter_mut().filter_map(|it| it.as_mut().take_output());
            parts.append(&mut begin([submit(app, checked.collect())].into_iter()).await);
        }
    }
    let late = end(late).await;
    parts.append(&mut begin([submit(app, late)].into_iter()).await);
    let made = end(parts).await.into_iter().flatten();
    Ok(described(app, made, around).await)
}

/// Submits those that may be, and returns what became of all.
async fn submit(
    app: &App,
    checked: Vec<Result<NewRequest, ApiError>>,
) -> Vec<Result<Detached, ApiError>> {
    let mut requests = Vec::with_capacity(checked.len());
    let checked: Vec<Result<(), ApiError>> = checked
        .into_iter()
        .map(|checked| checked.map(|request| requests.push(request)))
        .collect();
    let mut accepted = app
        .scheduler
        .submit_all_detached(requests)
        .await
        .into_iter();
    let each = checked.into_iter().filter_map(|checked| match checked {
        Ok(()) => accepted.next().map(|made| accepted_or(app, made)),
        Err(error) => Some(Err(error)),
    });
    each.collect()
}

/// Writes what became of each, with one look at the places of all.
async fn described(
    app: &App,
    made: impl Iterator<Item = Result<Detached, ApiError>>,
    around: Around,
) -> Vec<u8> {
    /// Most job objects are shorter.
    const OBJECT: usize = 640;
    let mut jobs = Vec::new();
    let results: Vec<Option<String>> = made
        .map(|made| match made {
            Ok(made) => {
                jobs.push(made.job);
                None
            }
            Err(error) => Some(error.body(Shape::Ollama)),
        })
        .collect();
    let mut jobs = object::describe_all(app, jobs).await;
    let mut text = Vec::with_capacity(results.len().saturating_mul(OBJECT));
    let mut before = around.first;
    for refused in results {
        text.extend_from_slice(before.as_bytes());
        before = around.between;
        match refused {
            Some(refused) => text.extend_from_slice(refused.as_bytes()),
            None => jobs
                .by_ref()
                .take(1)
                .for_each(|job| object::write(&mut text, &job)),
        }
    }
    text.extend_from_slice(around.last.as_bytes());
    text
}

/// A future that was begun with.
type Begun<F> = Pin<Box<MaybeDone<F>>>;

/// Begins with each future in turn.
async fn begin<F: Future>(futures: impl Iterator<Item = F>) -> Vec<Begun<F>> {
    let mut begun: Vec<_> = futures.map(|it| Box::pin(maybe_done(it))).collect();
    let first_look = poll_fn(|context| {
        for future in &mut begun {
            let _done = future.as_mut().poll(context);
        }
        Poll::Ready(())
    });
    unconstrained(first_look).await;
    begun
}

/// Waits for those together that have to wait for something: not one after the other, since each
/// may have to ask the target for its model.
async fn end<F: Future>(mut begun: Vec<Begun<F>>) -> Vec<F::Output> {
    let waiting = begun.iter_mut().filter(|it| is_waiting(it));
    join_all(waiting.map(|it| it.as_mut())).await;
    let ended = begun.iter_mut();
    ended.filter_map(|it| it.as_mut().take_output()).collect()
}

fn is_waiting<F: Future>(future: &Begun<F>) -> bool {
    matches!(**future, MaybeDone::Future(_))
}

impl Batch<'_> {
    async fn submit(&self, app: &App, body: &Bytes) -> Result<Response, ApiError> {
        let most = app.config.max_batch;
        match form(self.headers, body) {
            Form::One => {
                let submission = self.submission(0, body)?;
                let made = one(app, self.caller.name.as_deref(), submission).await?;
                Ok(submitted(app, made).await)
            }
            Form::Array => {
                let items = batch::array(body, most)?;
                let text = many(app, self, items, AS_ARRAY).await?;
                Ok(response::json(202, text))
            }
            Form::Lines => {
                let items = batch::lines(body, most)?;
                let text = many(app, self, items, AS_LINES).await?;
                Ok(response::text(202, "application/x-ndjson", text))
            }
        }
    }

    fn submission(&self, index: usize, item: &Bytes) -> Result<Submission, ApiError> {
        let said = Said::read(item)?;
        let idempotency = self.key.as_ref().map(|key| IdempotencyKey {
            scope: match &self.caller.name {
                Some(name) => format!("{PATH} {name}"),
                None => PATH.to_owned(),
            },
            // Each of many has a key of its own, which no header can spell.
            key: match index {
                0 => key.clone(),
                more => format!("{key}\n{more}"),
            },
            request_hash: Sha256::digest(item).into(),
        });
        Ok(Submission {
            max_queued: self.caller.max_queued,
            priority: self.caller.priority(said.priority),
            not_before: said.not_before,
            expires_in: said.expires_in,
            metadata: said.metadata,
            retry_of: None,
            idempotency,
            inner: Inner {
                endpoint: said.endpoint,
                sender: self.sender.clone(),
                body: said.request,
            },
        })
    }
}

/// Finds out whether the target can do a request as a job.
async fn check(app: &App, inner: &Inner) -> Result<RequestHead, ApiError> {
    let Inner {
        endpoint,
        sender: Sender { headers, .. },
        body,
    } = inner;
    let is_form = wish::is_form(headers);
    if *endpoint == Endpoint::V1AudioTranscriptions && !is_form {
        let message = "this endpoint takes a form: send it there, with Prefer: respond-async";
        return Err(ApiError::new(Fault::NotAJob, message));
    }
    let wish = wish::read(app, *endpoint, headers, body).await;
    let wish = wish.map_err(|no_job| match no_job {
        NoJob::Refused(rejection) => refused(*rejection),
        NoJob::Elsewhere => elsewhere(),
    })?;
    if wish.kind == RequestKind::Unload {
        let message = "unloading a model is no job: send it to the endpoint itself";
        return Err(ApiError::new(Fault::NotAJob, message));
    }
    match wish::place(app, &wish.name).await {
        Place::Here => Ok(wish),
        Place::Elsewhere => Err(elsewhere()),
        Place::Nowhere => Err(refused(unknown_model(api_of(*endpoint), &wish.model))),
    }
}

fn elsewhere() -> ApiError {
    let message = "a model that runs elsewhere does not wait for the target: \
                   send it to the endpoint itself";
    ApiError::new(Fault::NotAJob, message)
}

/// Says in the target's own words why it would refuse a request. Where it would take the fault upon
/// itself (an option of a wrong type), the submission is to blame all the same.
fn refused(rejection: Rejection) -> ApiError {
    let status = if rejection.status < 500 {
        rejection.status
    } else {
        400
    };
    ApiError::new(Fault::Refused(status), rejection.message)
}

fn job(app: &App, caller: Option<&str>, submission: Submission, wish: &RequestHead) -> NewRequest {
    let runner = runner_key(&app.inventory.snapshot(), &wish.name, &wish.load_options);
    let Submission { inner, .. } = submission;
    NewRequest {
        endpoint: inner.endpoint,
        model: wish.model.trim().to_owned(),
        runner,
        priority: submission.priority,
        caller: caller.map(str::to_owned),
        not_before: submission.not_before.map(|at| app.clock.translate(at)),
        expires_in: submission.expires_in,
        when_caller_leaves: WhenCallerLeaves::Finish,
        headers: inner.sender.stored,
        body: inner.body,
        // Most of them wait for long.
        head: None,
        idempotency: submission.idempotency,
        retry_of: submission.retry_of,
        metadata: submission.metadata,
        resendable: None,
        max_queued: submission.max_queued,
    }
}

async fn accept(app: &App, job: NewRequest) -> Result<Detached, ApiError> {
    accepted_or(app, app.scheduler.submit_detached(job).await)
}

/// Says why a request was not taken.
fn accepted_or(app: &App, made: Result<Detached, SubmitError>) -> Result<Detached, ApiError> {
    made.map_err(|error| ApiError::refused(&error, |backlog| app.retry_after(backlog)))
}

fn form(headers: &HeaderMap, body: &Bytes) -> Form {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    if content_type.is_some_and(shape::is_lines) {
        Form::Lines
    } else if body.trim_ascii_start().starts_with(b"[") {
        Form::Array
    } else {
        Form::One
    }
}
