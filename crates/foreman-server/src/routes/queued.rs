//! Requests that become jobs: read, checked and submitted.

use std::sync::Arc;

use bytes::Bytes;
use foreman_job::{Endpoint, RunnerKey};
use foreman_ollama::{RequestHead, RequestKind, forwardable_headers, unknown_model};
use foreman_scheduler::{
    Detached, NewRequest, Resendable, Submitted, WhenCallerLeaves, api_of, runner_key, to_stored,
};
use foreman_store::IdempotencyKey;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::unload::{self, UnloadRequest};
use super::waiting::{Signs, Waiting};
use super::wish::{self, NoJob, Place};
use super::{jobs, replay};
use crate::app::{App, Call};
use crate::auth::Caller;
use crate::decode;
use crate::error::ApiError;
use crate::request::{self, Whole};
use crate::reserve::Held;
use crate::response::Response;
use crate::terms::Terms;
use crate::{Interim, interim, target};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What is left to do once a request was read and submitted.
enum Step {
    /// Nothing: it is answered.
    Answered(Box<Response>),
    /// To wait.
    Wait(Box<Waiting>),
}

/// A request that was read, for a model that the target has.
struct Checked {
    endpoint: Endpoint,
    head: Parts,
    body: Bytes,
    wish: RequestHead,
    terms: Terms,
    caller: Caller,
    held: Held,
}

/// What is kept of a request while it is handed on.
struct Handed {
    job: NewRequest,
    signs: Signs,
    respond_async: bool,
    /// Kept until the request was handed on.
    _held: Held,
}

/// A request that was read, or its answer.
enum Reading {
    Answered(Response),
    Checked(Box<Checked>),
}

pub(crate) fn answer(
    endpoint: Endpoint,
    call: Call,
) -> impl Future<Output = Result<Response, ApiError>> + Send {
    // Boxed, and before the first await, so that a waiting caller does not hold the room that
    // reading and checking needs.
    let entering = Box::pin(enter(endpoint, call));
    async move {
        let waiting = match entering.await? {
            Step::Answered(response) => return Ok(*response),
            Step::Wait(waiting) => waiting,
        };
        Box::pin(waiting.answer()).await
    }
}

#[expect(
    clippy::significant_drop_tightening,
    reason = "what was read is handed on as a whole, or goes with its answer"
)]
async fn enter(endpoint: Endpoint, call: Call) -> Result<Step, ApiError> {
    let app = Arc::clone(&call.app);
    let wishes = Arc::clone(&call.wishes);
    // Boxed, here and below: what is over, and what few need, is not to take room beside the rest.
    let checked = match Box::pin(read(endpoint, call)).await? {
        Reading::Answered(response) => return Ok(Step::answered(response)),
        Reading::Checked(checked) => checked,
    };
    let wish = &checked.wish;
    let runner = runner_key(&app.inventory.snapshot(), &wish.name, &wish.load_options);
    if wish.kind == RequestKind::Unload {
        let request = UnloadRequest {
            endpoint,
            wish,
            runner: &runner,
            head: &checked.head,
            body: checked.body,
        };
        let unloaded = Box::pin(unload::answer(&app, request)).await?;
        return Ok(Step::answered(unloaded));
    }
    let Handed {
        job,
        signs,
        respond_async,
        _held,
    } = checked.hand_on(app.config.interim, runner);
    let refused = |error| ApiError::refused(&error, |backlog| app.retry_after(backlog));
    if respond_async {
        let made = Box::pin(app.scheduler.submit_detached(job)).await;
        let made = made.map_err(refused)?;
        return Ok(Step::answered(Box::pin(accepted(&app, made)).await));
    }
    let submitted = app.scheduler.submit(job).await.map_err(refused)?;
    let ticket = match submitted {
        Submitted::New(ticket) | Submitted::Attached(ticket) => ticket,
        Submitted::Ended(job) => {
            return Ok(Step::answered(
                replay::answer(&app, &job, api_of(endpoint).shape()).await?,
            ));
        }
    };
    Ok(Step::Wait(Box::new(Waiting {
        app,
        wishes,
        ticket,
        endpoint,
        signs,
    })))
}

/// Reads a request whole and finds out whether the target can do it.
async fn read(endpoint: Endpoint, call: Call) -> Result<Reading, ApiError> {
    let app = &call.app;
    let (head, body) = call.request.into_parts();
    let terms = Terms::read(&head.headers, &call.caller)?;
    let limits = app.limits(app.config.max_body);
    let Whole { bytes: body, held } = Box::pin(request::read(body, limits, &call.wishes)).await?;
    let wish = match wish::read(app, endpoint, &head.headers, &body).await {
        Ok(wish) => wish,
        Err(NoJob::Refused(rejection)) => {
            return Ok(Reading::Answered(wish::refusal(app, &rejection)));
        }
        Err(NoJob::Elsewhere) => return Box::pin(pass_on(app, &head, body)).await,
    };
    match wish::place(app, &wish.name).await {
        Place::Here => Ok(Reading::Checked(Box::new(Checked {
            endpoint,
            head,
            body,
            wish,
            terms,
            caller: call.caller,
            held,
        }))),
        Place::Elsewhere => Box::pin(pass_on(app, &head, body)).await,
        Place::Nowhere => {
            let api = api_of(endpoint);
            let rejection = unknown_model(api, &wish.model).of_stream(api, wish.stream);
            Ok(Reading::Answered(wish::refusal(app, &rejection)))
        }
    }
}

async fn pass_on(app: &App, head: &Parts, body: Bytes) -> Result<Reading, ApiError> {
    let passed = target::pass_read(app, head, body).await?;
    Ok(Reading::Answered(passed))
}

impl Checked {
    /// Takes what is still needed out of a request. Its head goes, and with it the buffer that it
    /// was read into: thousands wait for the disk at once.
    fn hand_on(self: Box<Self>, interim: Interim, runner: RunnerKey) -> Handed {
        let signs = self.signs(interim);
        let respond_async = self.terms.respond_async;
        let resendable = self.resendable();
        let Self {
            endpoint,
            head,
            body,
            wish,
            terms,
            caller,
            held,
        } = *self;
        let when_caller_leaves = if terms.outlives_caller() {
            WhenCallerLeaves::Finish
        } else {
            WhenCallerLeaves::Cancel
        };
        let idempotency = terms.idempotency_key.map(|key| IdempotencyKey {
            scope: scope(&caller, endpoint),
            key,
            request_hash: Sha256::digest(&body).into(),
        });
        let is_encoded = decode::is_encoded(endpoint, &head.headers);
        let job = NewRequest {
            endpoint,
            model: wish.model.trim().to_owned(),
            runner,
            priority: terms.priority,
            caller: caller.name.as_deref().map(str::to_owned),
            not_before: None,
            expires_in: terms.expires_in,
            when_caller_leaves,
            headers: to_stored(forwardable_headers(&head.headers)),
            body,
            head: (!is_encoded).then_some(wish),
            idempotency,
            retry_of: None,
            metadata: None,
            resendable,
            max_queued: caller.max_queued,
        };
        Handed {
            job,
            signs,
            respond_async,
            _held: held,
        }
    }

    /// Reads what a client library says that sends lost requests again by itself. A request that
    /// has a key, or whose sender does not wait, is not lost with its connection.
    fn resendable(&self) -> Option<Resendable> {
        let headers = &self.head.headers;
        let by_library = headers
            .keys()
            .any(|name| name.as_str().starts_with("x-stainless-"));
        if !by_library || self.terms.idempotency_key.is_some() || self.terms.respond_async {
            return None;
        }
        let count = headers.get("x-stainless-retry-count");
        let count = count.and_then(|count| count.to_str().ok()?.trim().parse::<u32>().ok());
        Some(Resendable {
            is_resend: count.is_some_and(|count| count > 0),
            body_hash: Sha256::digest(&self.body).into(),
        })
    }

    /// Says how its caller learns that it has not been forgotten.
    fn signs(&self, interim: Interim) -> Signs {
        // A load is answered by one object, whatever was asked for.
        let stream = self.wish.stream && self.wish.kind == RequestKind::Generate;
        let expected = wish::expected_type(self.endpoint, stream);
        Signs {
            interim: interim::period(interim, self.head.version, &self.head.headers),
            heartbeat: self.terms.heartbeat.map(|beat| (beat, expected)),
        }
    }
}

/// Answers a caller that does not want to wait.
async fn accepted(app: &App, made: Detached) -> Response {
    let mut response = jobs::submitted(app, made).await;
    response.headers_mut().insert(
        PREFERENCE_APPLIED,
        HeaderValue::from_static("respond-async"),
    );
    response
}

impl Step {
    fn answered(response: Response) -> Self {
        Self::Answered(Box::new(response))
    }
}

/// Keys of one caller on one path never meet those of another.
fn scope(caller: &Caller, endpoint: Endpoint) -> String {
    match &caller.name {
        Some(name) => format!("{endpoint} {name}"),
        None => endpoint.path().to_owned(),
    }
}
